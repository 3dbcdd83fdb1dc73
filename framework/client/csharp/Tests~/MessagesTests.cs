// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;

namespace Lifeline.Tests
{
	/// <summary>Generated messages: what framework/gen/internal/cases wrote is written again as it was.</summary>
	static class MessagesTests
	{
		public static void Run(Check check, string file)
		{
			check.Run("messages", () => Play(check, file));
			check.Run("messages are kept", () => Kept(check));
			check.Run("other lengths", () => OtherLengths(check));
			check.Run("times", () => Times(check));
		}

		// One object of each class: each message is read into what the one before has left.
		static readonly Dictionary<string, IMessage> objects = new Dictionary<string, IMessage>
		{
			{ "swarm.Seat", new Arena.Seat() }, { "swarm.View", new Arena.View() }, { "swarm.Name", new Arena.Name() },
			{ "swarm.Move", new Arena.Move() }, { "swarm.Chat", new Arena.Chat() }, { "swarm.State", new Arena.State() },
			{ "swarm.Spot", new Arena.Spot() },
			{ "sample.Numbers", new Sample.Numbers() }, { "sample.Options", new Sample.Options() },
			{ "sample.Parts", new Sample.Parts() }, { "sample.Tree", new Sample.Tree() }, { "sample.Hero", new Sample.Hero() },
			{ "sample.Reader", new Sample.ReaderMessage() }, { "sample.Empty", new Sample.Empty() },
		};

		static void Play(Check check, string file)
		{
			string seed = "";
			foreach (string line in File.ReadLines(file))
			{
				string[] f = line.Split(' ');
				if (f[0] == "seed")
				{
					seed = line;
					continue;
				}
				string got = Again(objects[f[0]], Hex.Decode(f[1]));
				if (got != f[1])
				{
					check.Fail(seed + ", " + f[0] + ": got " + got + ", want " + f[1]);
					return;
				}
				check.Passed++;
			}
		}

		static string Again(IMessage m, byte[] bytes)
		{
			Reader r = new Reader(bytes);
			m.Read(r);
			if (!r.AtEnd)
			{
				return "not all of it was read";
			}
			Writer w = new Writer();
			m.Write(w);
			return Hex.Encode(w.ToArray());
		}

		// A state of players is read into the objects that were there.
		static void Kept(Check check)
		{
			Arena.State state = new Arena.State();
			byte[] two = Hex.Decode("920192" + "94010a0bc2" + "94020c0dc3");
			state.Read(new Reader(two));
			check.That(state.Tick == 1 && state.Players.Count == 2, "two players");
			Arena.Spot first = state.Players[0], second = state.Players[1];
			check.That(first.ID == 1 && first.X == 10 && first.Y == 11 && second.ID == 2 && second.Dropped, "their places");
			state.Read(new Reader(Hex.Decode("920291" + "94050a0bc3")));
			check.That(state.Players.Count == 1 && ReferenceEquals(first, state.Players[0]) && first.ID == 5 && first.Dropped, "the first is read into");
			state.Read(new Reader(two));
			check.That(ReferenceEquals(second, state.Players[1]) && second.ID == 2, "the second was kept");
			Sample.Options some = new Sample.Options();
			some.Read(new Reader(Hex.Decode("97c0c0c0c0c0c0" + "9207a178")));
			Sample.Base kept = some.Base;
			some.Read(new Reader(Hex.Decode("97c0c0c0c0c0c0" + "c0")));
			check.That(kept.Name == "x" && some.Base == null, "an optional one is gone");
			some.Read(new Reader(Hex.Decode("97c0c0c0c0c0c0" + "9108")));
			check.That(ReferenceEquals(kept, some.Base) && kept.ID == 8 && kept.Name == "", "and back");
		}

		// An older server sends less, a newer one more, at every depth.
		static void OtherLengths(Check check)
		{
			Arena.State state = new Arena.State();
			state.Read(new Reader(Hex.Decode("940992" + "95070102c3a178" + "9101" + "c3c0")));
			check.That(state.Tick == 9 && state.Players.Count == 2 && state.Players[0].Dropped, "surplus is skipped");
			check.That(state.Players[1].ID == 1 && state.Players[1].X == 0, "what is absent is zero");
			state.Read(new Reader(Hex.Decode("90")));
			check.That(state.Tick == 0 && state.Players.Count == 0, "nothing");
			state.Tick = 1;
			state.Read(new Reader(Hex.Decode("c0")));
			check.That(state.Tick == 0, "nil");
		}

		static void Times(Check check)
		{
			DateTime[] times = { default(DateTime), new DateTime(1970, 1, 1), new DateTime(2514, 5, 30, 1, 53, 4), DateTime.MaxValue, new DateTime(1969, 12, 31).AddTicks(1) };
			foreach (DateTime t in times)
			{
				Writer w = new Writer();
				w.Time(t);
				check.Equal(new Reader(w.ToArray()).Time().Ticks, t.Ticks, "time");
			}
			foreach (string bad in new[] { "d60000000000", "c70cff00000000ffffff0000000000", "c701ff00", "01", "d7ffffffffffffffffff" })
			{
				try
				{
					new Reader(Hex.Decode(bad)).Time();
					check.Fail("taken: " + bad);
				}
				catch (CodecException)
				{
					check.Passed++;
				}
			}
		}
	}
}
