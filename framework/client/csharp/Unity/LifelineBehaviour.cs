// SPDX-License-Identifier: MIT

using System;
using UnityEngine;

namespace Lifeline.Unity
{
	/// <summary>
	/// Drives a Client: Update once a frame, Pause and Hurry with the app. Add it to a GameObject, call Open, and
	/// use Client. Destroying it closes the sockets; the session waits for its grace, and Token brings it back.
	/// </summary>
	public sealed class LifelineBehaviour : MonoBehaviour
	{
		NetworkReachability network;

		/// <summary>The client, null before Open.</summary>
		public Client Client { get; private set; }

		/// <summary>Makes the client. Register its handlers before the next frame. In WebGL a WebSocket of the browser is used.</summary>
		public Client Open(string addresses, ClientConfig config)
		{
			if (Client != null)
			{
				throw new InvalidOperationException("lifeline: Open was called twice");
			}
#if UNITY_WEBGL && !UNITY_EDITOR
			config.OpenWebSocket = config.OpenWebSocket ?? (url => new BrowserWebSocket(url));
#endif
			Client = new Client(addresses, config);
			network = Application.internetReachability;
			return Client;
		}

		void Update()
		{
			if (Client == null)
			{
				return;
			}
			if (Application.internetReachability != network)
			{
				network = Application.internetReachability;
				Client.Hurry(); // from Wi-Fi to mobile, or back
			}
			Client.Update();
		}

		// What the game sent in this frame leaves with it.
		void LateUpdate()
		{
			if (Client != null)
			{
				Client.Flush();
			}
		}

		void OnApplicationPause(bool paused)
		{
			if (Client == null)
			{
				return;
			}
			if (paused)
			{
				Client.Pause();
			}
			else
			{
				Client.Hurry();
			}
		}

		void OnDestroy()
		{
			if (Client != null)
			{
				Client.Dispose();
			}
		}
	}
}
