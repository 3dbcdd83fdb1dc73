// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays scripts: each line says what happens, and the lines below it that begin with a tab say what comes of it.
	/// The Go player is internal/scripttest.
	/// </summary>
	static class Scripts
	{
		/// <summary>
		/// Plays those of a directory, but for those of servers. start makes what one is played to: it does a line, and
		/// returns what came of it.
		/// </summary>
		public static void Run(Check check, string what, string dir, Func<Func<string, IEnumerable<string>>> start)
		{
			string[] files = Directory.GetFiles(dir, "*.txt");
			Array.Sort(files);
			foreach (string file in files)
			{
				string name = Path.GetFileNameWithoutExtension(file), want = File.ReadAllText(file);
				if (!name.StartsWith("server-", StringComparison.Ordinal))
				{
					check.Run(what + " " + name, () => check.SameLines(Play(want, start()), want));
				}
			}
		}

		static string Play(string text, Func<string, IEnumerable<string>> line)
		{
			StringBuilder to = new StringBuilder();
			foreach (string l in text.Split('\n'))
			{
				if (l.StartsWith("\t", StringComparison.Ordinal))
				{
					continue; // what was expected
				}
				to.Append(l).Append('\n');
				string command = l.Trim();
				if (command == "" || command[0] == '#')
				{
					continue;
				}
				foreach (string did in line(command))
				{
					to.Append('\t').Append(did).Append('\n');
				}
			}
			return to.ToString(0, to.Length - 1);
		}
	}
}
