// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Globalization;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays the scripts of framework/client/testdata/scripts, whose language is in the README there. The Go player is
	/// framework/client/script_test.go.
	/// </summary>
	sealed class AddressScript
	{
		const long fallback = 1500 * Nanos.Millisecond, dialTimeout = 5 * Nanos.Second;

		AddressBook book;
		long now;
		string moved = "";
		readonly List<string> lines = new List<string>();

		public static void Run(Check check, string root)
		{
			Scripts.Run(check, "address script", root + "/framework/client/testdata/scripts", () => new AddressScript().Line);
		}

		IEnumerable<string> Line(string text)
		{
			lines.Clear();
			Do(text);
			return lines;
		}

		// The place of an address in the app's list, -1 if the server named it.
		int IndexOf(string url)
		{
			return Array.FindIndex(book.Own, a => a.Url == url);
		}

		void Do(string text)
		{
			string[] w = text.Split(new[] { ' ' }, 2);
			string rest = w.Length > 1 ? w[1] : "";
			switch (w[0])
			{
				case "addresses":
					try
					{
						book = new AddressBook(rest);
					}
					catch (FormatException)
					{
						lines.Add("refused");
					}
					break;
				case "dial":
					book.Elsewhere(moved).ForEach(a => lines.Add("try " + a.Url));
					Array.ForEach(book.Order(now), i => lines.Add("try " + book.Own[i].Url));
					break;
				case "patience":
					long d = Math.Min(book.Patience(new Address(rest), fallback), dialTimeout);
					lines.Add((d / (decimal)Nanos.Second).ToString("0.###", CultureInfo.InvariantCulture) + "s");
					break;
				case "failed":
				case "stuck": book.Failed(IndexOf(rest)); break;
				case "opened": book.Worked(IndexOf(rest), now); break;
				case "moved": moved = rest; break;
				case "network": book.Forgive(); break;
				case "advance":
					long n = long.Parse(rest.Substring(0, rest.Length - 1));
					now += n * (rest.EndsWith("m", StringComparison.Ordinal) ? 60 : 1) * Nanos.Second;
					break;
				default: throw new FormatException("no command: " + text);
			}
		}
	}
}
