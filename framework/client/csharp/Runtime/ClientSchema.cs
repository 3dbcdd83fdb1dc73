// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;

namespace Lifeline
{
	/// <summary>The messages of the server are not those that this client was built with.</summary>
	public sealed class SchemaException : Exception
	{
		/// <summary>Each place by name: "game.Spot, field 2: the client has X:float32, the server X:float64".</summary>
		public readonly IReadOnlyList<string> Problems;

		internal SchemaException(IReadOnlyList<string> problems) : base("the server's messages are others than this client's: " + string.Join("; ", problems))
		{
			Problems = problems;
		}
	}

	// Has the server compare its messages with ours, if they are others: package framework/gen.
	public sealed partial class Client
	{
		string comparedWith; // the server's messages that ours were compared with

		void CompareSchema()
		{
			if (cfg.Schema == null)
			{
				return;
			}
			string route = Array.Find(core.Routes, IsSchemaRoute);
			if (route == null || route == comparedWith)
			{
				return;
			}
			comparedWith = route;
			if (route != SchemaName(cfg.Schema))
			{
				Compare(route);
			}
		}

		// Goes on in an Update.
		async void Compare(string route)
		{
			try
			{
				Texts problems = await Request(route, new Texts(cfg.Schema), new Texts(null), TimeSpan.FromTicks(-1));
				if (problems.List.Count > 0)
				{
					Report(new SchemaException(problems.List));
				}
			}
			catch (LifelineException e)
			{
				if (e.Code == LifelineException.TooLarge)
				{
					Report(e);
				}
				else
				{
					comparedWith = null; // the session has ended: the next one asks again
				}
			}
		}

		const string schemaPrefix = "schema.";

		static bool IsSchemaRoute(string route)
		{
			if (route.Length != schemaPrefix.Length + 16 || !route.StartsWith(schemaPrefix, StringComparison.Ordinal))
			{
				return false;
			}
			for (int i = schemaPrefix.Length; i < route.Length; i++)
			{
				char c = route[i];
				if (!(c >= '0' && c <= '9' || c >= 'a' && c <= 'f'))
				{
					return false;
				}
			}
			return true;
		}

		/// <summary>The name of the route by which a server with these messages tells them.</summary>
		internal static string SchemaName(string schema)
		{
			byte[] text = Encoding.UTF8.GetBytes(schema);
			byte[] sum = Sha256.Sum(text, 0, text.Length);
			StringBuilder name = new StringBuilder(schemaPrefix);
			for (int i = 0; i < 8; i++)
			{
				name.Append(sum[i].ToString("x2"));
			}
			return name.ToString();
		}

		/// <summary>Written, a text; read, several.</summary>
		sealed class Texts : IMessage
		{
			readonly string text;
			public readonly List<string> List = new List<string>();

			public Texts(string text)
			{
				this.text = text;
			}

			public void Read(Reader r)
			{
				for (int left = r.Array(); left > 0; left--)
				{
					List.Add(r.Str());
				}
			}

			public void Write(Writer w)
			{
				w.Str(text);
			}
		}
	}
}
