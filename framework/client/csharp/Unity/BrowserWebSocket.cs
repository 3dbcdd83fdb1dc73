// SPDX-License-Identifier: MIT

#if UNITY_WEBGL && !UNITY_EDITOR
using System.Runtime.InteropServices;

namespace Lifeline.Unity
{
	/// <summary>The browser's WebSocket, by Plugins/LifelineWebSocket.jslib. Nothing calls back: it is polled.</summary>
	sealed class BrowserWebSocket : IWebSocket
	{
		readonly int id;

		public BrowserWebSocket(string url)
		{
			id = LifelineOpen(url);
		}

		public bool IsOpen { get { return LifelineState(id) == 1; } }
		public bool IsBroken { get { return LifelineState(id) == 2; } }
		public int CloseStatus { get { return LifelineStatus(id); } }
		public int Buffered { get { return LifelineBuffered(id); } }

		public int Receive(byte[] b, int at, int n)
		{
			return LifelineReceive(id, b, at, n);
		}

		public void Send(byte[] b, int at, int n)
		{
			LifelineSend(id, b, at, n);
		}

		public void Close()
		{
			LifelineClose(id);
		}

		[DllImport("__Internal")] static extern int LifelineOpen(string url);
		[DllImport("__Internal")] static extern int LifelineState(int id);
		[DllImport("__Internal")] static extern int LifelineStatus(int id);
		[DllImport("__Internal")] static extern int LifelineBuffered(int id);
		[DllImport("__Internal")] static extern int LifelineReceive(int id, byte[] b, int at, int n);
		[DllImport("__Internal")] static extern void LifelineSend(int id, byte[] b, int at, int n);
		[DllImport("__Internal")] static extern void LifelineClose(int id);
	}
}
#endif
