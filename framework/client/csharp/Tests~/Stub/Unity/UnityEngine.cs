// SPDX-License-Identifier: MIT

// As much of UnityEngine as the glue in Unity/ and the sample use, so that they compile without Unity, and
// as much of its life as they are tested with: Tests.Engine.

using System;
using System.Collections.Generic;

namespace UnityEngine
{
	public sealed class SerializeField : Attribute { }

	public sealed class HideInInspector : Attribute { }

	public sealed class DisallowMultipleComponent : Attribute { }

	public sealed class RequireComponent : Attribute
	{
		public RequireComponent(Type type) { }
	}

	public sealed class TooltipAttribute : Attribute
	{
		public TooltipAttribute(string text) { }
	}

	public sealed class DefaultExecutionOrder : Attribute
	{
		public readonly int order;

		public DefaultExecutionOrder(int order)
		{
			this.order = order;
		}
	}

	public class Object
	{
		public string name = "";
		internal bool destroyed;

		public static void DontDestroyOnLoad(Object o)
		{
			((GameObject)o).stays = true;
		}

		public static void Destroy(Object o)
		{
			Lifeline.Tests.Engine.Destroy((GameObject)o);
		}

		public static bool operator ==(Object a, Object b)
		{
			bool none = ReferenceEquals(a, null) || a.destroyed, other = ReferenceEquals(b, null) || b.destroyed;
			return none || other ? none == other : ReferenceEquals(a, b);
		}

		public static bool operator !=(Object a, Object b)
		{
			return !(a == b);
		}

		public override bool Equals(object o)
		{
			return ReferenceEquals(this, o);
		}

		public override int GetHashCode()
		{
			return 0;
		}
	}

	public class Component : Object
	{
		public GameObject gameObject { get; internal set; }
		public Transform transform { get { return gameObject.transform; } }

		public C GetComponent<C>() where C : Component
		{
			return gameObject.GetComponent<C>();
		}
	}

	public class MonoBehaviour : Component
	{
		internal bool started, awake;
		bool on = true;

		public bool enabled
		{
			get { return on; }
			set
			{
				if (on != value)
				{
					on = value;
					Lifeline.Tests.Engine.Call(this, on ? "OnEnable" : "OnDisable");
				}
			}
		}

		public bool isActiveAndEnabled { get { return on && !destroyed; } }
	}

	public sealed class GameObject : Object
	{
		public readonly List<MonoBehaviour> components = new List<MonoBehaviour>();
		readonly Renderer renderer = new Renderer();
		internal bool stays;

		public GameObject(string name)
		{
			this.name = name;
			transform = new Transform { gameObject = this };
			Lifeline.Tests.Engine.Objects.Add(this);
		}

		public Transform transform { get; private set; }

		public static GameObject CreatePrimitive(PrimitiveType type)
		{
			return new GameObject(type.ToString());
		}

		public static GameObject Find(string name)
		{
			return Lifeline.Tests.Engine.Objects.Find(o => o.name == name);
		}

		public C AddComponent<C>() where C : MonoBehaviour, new()
		{
			C c = new C { gameObject = this };
			components.Add(c);
			Lifeline.Tests.Engine.Wake(c);
			return c;
		}

		public C GetComponent<C>() where C : Component
		{
			return renderer as Component as C ?? components.Find(c => c is C) as Component as C;
		}
	}

	public enum PrimitiveType { Sphere }

	public sealed class Renderer : Component
	{
		public readonly Material material = new Material();
	}

	public sealed class MeshFilter { }

	public sealed class MeshRenderer { }

	public sealed class SphereCollider { }

	public sealed class Material
	{
		public Color color { get; set; }
	}

	public struct Color
	{
		public static Color HSVToRGB(float h, float s, float v)
		{
			return new Color();
		}
	}

	public sealed class Transform : Component
	{
		public Vector3 position { get; set; }
		public Vector3 localScale { get; set; }
	}

	public struct Vector3
	{
		public float x, y, z;

		public Vector3(float x, float y, float z)
		{
			this.x = x;
			this.y = y;
			this.z = z;
		}

		public static Vector3 one { get { return new Vector3(1, 1, 1); } }

		public static Vector3 operator *(Vector3 v, float f)
		{
			return new Vector3(v.x * f, v.y * f, v.z * f);
		}

		public static Vector3 Lerp(Vector3 a, Vector3 b, float t)
		{
			t = Math.Min(Math.Max(t, 0), 1);
			return new Vector3(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, a.z + (b.z - a.z) * t);
		}
	}

	public static class Mathf
	{
		public static float Sin(float a) { return (float)Math.Sin(a); }
		public static float Cos(float a) { return (float)Math.Cos(a); }
		public static float Repeat(float a, float length) { return a - (float)Math.Floor(a / length) * length; }
		public static float Clamp(float a, float min, float max) { return Math.Min(Math.Max(a, min), max); }
	}

	public static class Time
	{
		public static float deltaTime { get { return Lifeline.Tests.Engine.Step; } }
		public static float unscaledTime { get { return Lifeline.Tests.Engine.Time; } }
	}

	public static class Input
	{
		public static float GetAxisRaw(string axis) { return 0; }
	}

	public static class GUILayout
	{
		public static void Label(string text) { }
	}

	public static class Debug
	{
		public static void Log(object message) { Lifeline.Tests.Engine.Log.Add(message.ToString()); }
		public static void LogException(Exception e) { Lifeline.Tests.Engine.Log.Add(e.ToString()); }
	}

	public enum NetworkReachability { NotReachable, ReachableViaCarrierDataNetwork, ReachableViaLocalAreaNetwork }

	public static class Application
	{
		public static NetworkReachability internetReachability { get { return Lifeline.Tests.Engine.Network; } }
	}
}
