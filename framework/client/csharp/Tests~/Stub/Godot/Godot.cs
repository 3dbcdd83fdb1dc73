// SPDX-License-Identifier: MIT

// As much of Godot 4 as the sample uses, so that it compiles without Godot.

using System;

namespace Godot
{
	public sealed class ExportAttribute : Attribute { }

	public class Node
	{
		public const long NotificationApplicationPaused = 2015, NotificationApplicationResumed = 2014;

		public virtual void _Ready() { }
		public virtual void _Process(double delta) { }
		public virtual void _Notification(int what) { }
		public virtual void _ExitTree() { }
	}

	public class Node2D : Node
	{
		public virtual void _Draw() { }
		public void QueueRedraw() { }
		public Rect2 GetViewportRect() { return new Rect2(); }
		public void DrawCircle(Vector2 position, float radius, Color color) { }
	}

	public struct Rect2
	{
		public Vector2 Size { get { return new Vector2(); } }
	}

	public struct Vector2
	{
		public float X, Y;

		public Vector2(float x, float y)
		{
			X = x;
			Y = y;
		}
	}

	public struct Color
	{
		public Color(float r, float g, float b) { }
	}

	public static class Input
	{
		public static Vector2 GetVector(string left, string right, string up, string down) { return new Vector2(); }
	}

	public static class GD
	{
		public static void Print(string what) { }
		public static void PushError(string what) { }
	}
}
