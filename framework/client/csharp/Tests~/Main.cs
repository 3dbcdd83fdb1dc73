// SPDX-License-Identifier: MIT

using System;

namespace Lifeline.Tests
{
	/// <summary>
	/// The tests, by group. unit ROOT: vectors, scripts, the client against a played server. cases FILE: random
	/// cases of framework/client/foreign/cases. messages FILE: those of framework/gen/internal/cases. fuzz ROOT ROUNDS [SEED]. live PROBE [notls] and garbage PROBE: against
	/// framework/client/foreign/probe; garbage needs MONO_GC_PARAMS=nursery-size=64k to mean anything. memory PROBE N
	/// prints what a client holds. core and client are what framework/conform plays
	/// scripts to.
	/// </summary>
	static class Program
	{
		static int Main(string[] args)
		{
			Check check = new Check();
			switch (args[0])
			{
				case "unit":
					CodecTests.Run(check, args[1]);
					CryptoTests.Run(check);
					KcpScript.Run(check, args[1]);
					AddressScript.Run(check, args[1]);
					SealScript.Run(check, args[1]);
					SealTests.Run(check, args[1]);
					StreamTests.Run(check, args[1]);
					SessionTests.Run(check, args[1]);
					ClientTests.Run(check);
					CarrierTests.Run(check);
					RoomsTests.Run(check);
					RoomScript.Run(check, args[1]);
					SocialTests.Run(check, args[1]);
					break;
				case "cases":
					CasesTests.Run(check, args[1]);
					break;
				case "messages":
					MessagesTests.Run(check, args[1]);
					break;
				case "fuzz":
					FuzzTests.Run(check, args[1], int.Parse(args[2]), args.Length > 3 ? ulong.Parse(args[3]) : (ulong)DateTime.UtcNow.Ticks);
					break;
				case "live":
					LiveTests.Run(check, args[1], args.Length < 3 || args[2] != "notls");
					break;
				case "memory":
					LiveTests.RunMemory(check, args[1], int.Parse(args[2]));
					break;
				case "garbage":
					LiveTests.RunGarbage(check, args[1]);
					break;
				case "core":
					Script.Serve(Console.In, Console.Out);
					return 0;
				case "client":
					Player.Run(Console.In, Console.Out);
					return 0;
				default:
					check.Fail("no such group: " + args[0]);
					break;
			}
			Console.WriteLine(args[0] + ": " + check.Passed + " checks passed, " + check.Failed + " failed");
			return check.Failed == 0 && check.Passed > 0 ? 0 : 1;
		}
	}
}
