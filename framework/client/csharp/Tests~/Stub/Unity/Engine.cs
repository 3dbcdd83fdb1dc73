// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Reflection;
using UnityEngine;

namespace Lifeline.Tests
{
	/// <summary>Calls what Unity calls, in its order: frames, pauses, scenes, a reload of scripts, the end.</summary>
	public static class Engine
	{
		public static readonly List<GameObject> Objects = new List<GameObject>();
		public static readonly List<string> Log = new List<string>();
		public static NetworkReachability Network = NetworkReachability.ReachableViaLocalAreaNetwork;
		public static float Step = 0.02f, Time;

		const BindingFlags own = BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly;

		public static void Call(MonoBehaviour c, string method, params object[] arguments)
		{
			MethodInfo m = c.GetType().GetMethod(method, own);
			if (m == null)
			{
				return;
			}
			try
			{
				m.Invoke(c, arguments);
			}
			catch (TargetInvocationException e)
			{
				Log.Add(e.InnerException.ToString());
			}
		}

		public static void Wake(MonoBehaviour c)
		{
			Call(c, "Awake");
			Call(c, "OnEnable");
		}

		/// <summary>Adds a component of a scene: what the inspector shows is set before it wakes.</summary>
		public static void Add<C>(GameObject o, Action<C> set) where C : MonoBehaviour, new()
		{
			C c = new C { gameObject = o };
			set(c);
			o.components.Add(c);
			Wake(c);
		}

		static List<MonoBehaviour> All()
		{
			List<MonoBehaviour> all = new List<MonoBehaviour>();
			Objects.ForEach(o => all.AddRange(o.components));
			List<MonoBehaviour> sorted = new List<MonoBehaviour>();
			all.ForEach(c =>
			{
				int at = sorted.FindIndex(d => Order(d) > Order(c));
				sorted.Insert(at < 0 ? sorted.Count : at, c);
			});
			return sorted;
		}

		static int Order(MonoBehaviour c)
		{
			object[] order = c.GetType().GetCustomAttributes(typeof(DefaultExecutionOrder), false);
			return order.Length == 0 ? 0 : ((DefaultExecutionOrder)order[0]).order;
		}

		static void Tell(string method, params object[] arguments)
		{
			All().ForEach(c =>
			{
				if (c.isActiveAndEnabled)
				{
					Call(c, method, arguments);
				}
			});
		}

		public static void Frame()
		{
			Time += Step;
			All().ForEach(c =>
			{
				if (c.isActiveAndEnabled && !c.started)
				{
					c.started = true;
					Call(c, "Start");
				}
			});
			Tell("Update");
			Tell("LateUpdate");
			Tell("OnGUI");
		}

		/// <summary>Told to disabled components too.</summary>
		public static void Pause(bool paused)
		{
			All().ForEach(c => Call(c, "OnApplicationPause", paused));
		}

		public static void Destroy(GameObject o)
		{
			if (Objects.Remove(o))
			{
				o.components.ForEach(c => { if (c.enabled) { Call(c, "OnDisable"); } });
				o.components.ForEach(c => Call(c, "OnDestroy"));
				o.components.ForEach(c => c.destroyed = true);
				o.destroyed = true;
			}
		}

		/// <summary>Another scene: what is not kept is destroyed.</summary>
		public static void LoadScene()
		{
			foreach (GameObject o in Objects.ToArray())
			{
				if (!o.stays)
				{
					Destroy(o);
				}
			}
		}

		public static void Quit()
		{
			Tell("OnApplicationQuit");
			foreach (GameObject o in Objects.ToArray())
			{
				Destroy(o);
			}
		}

		/// <summary>Scripts were compiled while the game plays: only what is serialized is there afterwards.</summary>
		public static void Reload()
		{
			Tell("OnDisable");
			foreach (MonoBehaviour c in All())
			{
				MonoBehaviour fresh = (MonoBehaviour)Activator.CreateInstance(c.GetType());
				foreach (FieldInfo f in c.GetType().GetFields(own))
				{
					bool kept = (f.IsPublic || f.IsDefined(typeof(SerializeField), false)) && !f.IsInitOnly;
					f.SetValue(c, kept ? f.GetValue(c) : f.GetValue(fresh));
				}
			}
			Tell("OnEnable");
		}
	}
}
