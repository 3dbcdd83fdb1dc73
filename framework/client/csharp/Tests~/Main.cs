// SPDX-License-Identifier: MIT

using System;

namespace Lifeline.Tests
{
	static class Program
	{
		static int Main(string[] args)
		{
			string root = args.Length > 0 ? args[0] : "../../..";
			Check check = new Check();
			CodecTests.Run(check, root);
			CryptoTests.Run(check);
			SealTests.Run(check, root);
			SessionTests.Run(check, root);
			ClientTests.Run(check);
			if (args.Length > 1)
			{
				CasesTests.Run(check, args[1]);
			}
			Console.WriteLine(check.Passed + " checks passed, " + check.Failed + " failed");
			return check.Failed == 0 && check.Passed > 0 ? 0 : 1;
		}
	}
}
