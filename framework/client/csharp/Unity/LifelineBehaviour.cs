// SPDX-License-Identifier: MIT

using System;
using UnityEngine;

namespace Lifeline.Unity
{
	/// <summary>
	/// Drives a Client: Update once a frame, Pause and Hurry with the app, a goodbye when it quits. Add it to a root
	/// object, call Open, and use Client. It has no static state. Destroying it closes the sockets; the session waits
	/// for its grace, and Client.Token brings it back. A Pause of the game's own stays until the game calls Hurry.
	/// </summary>
	[DefaultExecutionOrder(-1000)] // handlers run before the Update of the game's own scripts
	[DisallowMultipleComponent]
	public sealed class LifelineBehaviour : MonoBehaviour
	{
		/// <summary>Keeps the object, and with it the session, when another scene is loaded. Open does it.</summary>
		public bool KeepBetweenScenes = true;

		/// <summary>
		/// Ends the session when the app quits, and when play mode ends. Without it the server keeps the player's seat
		/// for its grace, and a later run may come back with ClientConfig.Token.
		/// </summary>
		public bool GoodbyeOnQuit = true;

		// Of the session that was there when the object was disabled. Scripts that are compiled while the game plays
		// take everything from it but this.
		[SerializeField, HideInInspector] string token = "";

		Client last; // the one before Client, null once it is idle: it repeats its last words
		NetworkReachability network;
		float lookAt;
		bool stands; // by our Pause

		/// <summary>The client, null before Open.</summary>
		public Client Client { get; private set; }

		bool Lives { get { return Client != null && !Client.Ended; } }

		/// <summary>
		/// Makes the client. Register its handlers before the next frame. What handlers throw is logged. In WebGL a
		/// WebSocket of the browser is used. Throws InvalidOperationException if there is a client that has not ended.
		/// </summary>
		public Client Open(string addresses, ClientConfig config)
		{
			if (Lives)
			{
				throw new InvalidOperationException("lifeline: Open was called twice");
			}
#if UNITY_WEBGL && !UNITY_EDITOR
			config.OpenWebSocket = config.OpenWebSocket ?? (url => new BrowserWebSocket(url));
#endif
			if (Client == null && string.IsNullOrEmpty(config.Token) && !string.IsNullOrEmpty(token)) // else it is of one that has ended
			{
				config.Token = token;
			}
			token = "";
			if (last != null)
			{
				last.Dispose();
			}
			last = Client;
			Client = new Client(addresses, config);
			stands = false;
			Client.OnError += Debug.LogException;
			network = Application.internetReachability;
			if (KeepBetweenScenes)
			{
				DontDestroyOnLoad(gameObject);
			}
			return Client;
		}

		void Update()
		{
			if (Client == null)
			{
				return;
			}
			WatchNetwork();
			if (last != null)
			{
				last.Update();
				last = last.Idle ? null : last;
			}
			Client.Update();
		}

		void WatchNetwork()
		{
			if (Time.unscaledTime < lookAt)
			{
				return;
			}
			lookAt = Time.unscaledTime + 0.5f; // some systems take a while to answer
			if (Application.internetReachability != network)
			{
				network = Application.internetReachability;
				if (!Client.Paused)
				{
					Client.Hurry(); // from Wi-Fi to mobile, or back
				}
			}
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
			Stand(paused);
		}

		// An object that is disabled has no Update. After a reload of scripts there is no client either, see token.
		void OnEnable()
		{
			Stand(false);
		}

		void OnDisable()
		{
			if (Lives)
			{
				token = Client.Token;
			}
			Stand(true);
		}

		void Stand(bool still)
		{
			if (!Lives)
			{
				return;
			}
			if (still)
			{
				stands |= !Client.Paused;
				Client.Pause();
			}
			else if (isActiveAndEnabled && (stands || !Client.Paused))
			{
				stands = false;
				Client.Hurry();
			}
		}

		void OnApplicationQuit()
		{
			if (Client == null)
			{
				return;
			}
			if (GoodbyeOnQuit)
			{
				Client.Close();
			}
			OnDestroy(); // with the goodbye, as there are no further frames
		}

		void OnDestroy()
		{
			if (last != null)
			{
				last.Dispose();
			}
			if (Client != null)
			{
				Client.Dispose();
			}
		}
	}
}
