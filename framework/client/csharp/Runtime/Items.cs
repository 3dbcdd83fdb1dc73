// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>
	/// A list that keeps its objects when it is cleared, so that a message that is read again and again makes none.
	/// It owns them: an object that was added twice, or to two lists, would be read into twice.
	/// </summary>
	public sealed class Items<T>
	{
		T[] items = new T[0];
		int count;

		/// <summary>How many there are.</summary>
		public int Count { get { return count; } }

		/// <summary>The i-th, from 0 to Count - 1.</summary>
		public T this[int i]
		{
			get
			{
				Check(i);
				return items[i];
			}
			set
			{
				Check(i);
				items[i] = value;
			}
		}

		void Check(int i)
		{
			if ((uint)i >= (uint)count)
			{
				throw new ArgumentOutOfRangeException("i");
			}
		}

		/// <summary>Appends one.</summary>
		public void Add(T item)
		{
			if (count == items.Length)
			{
				Array.Resize(ref items, Math.Max(4, 2 * count));
			}
			items[count++] = item;
		}

		/// <summary>Makes Count 0.</summary>
		public void Clear()
		{
			count = 0;
		}

		/// <summary>
		/// The object that was where the next one will be added, to be filled and added again; null where there was none.
		/// <code>Spot spot = list.Spare ?? new Spot();</code>
		/// </summary>
		public T Spare { get { return count < items.Length ? items[count] : default(T); } }
	}

	/// <summary>Arrays of objects, for generated messages.</summary>
	public static class Arrays
	{
		/// <summary>Returns an array of n that make has made.</summary>
		public static T[] Of<T>(int n, Func<T> make)
		{
			T[] all = new T[n];
			for (int i = 0; i < n; i++)
			{
				all[i] = make();
			}
			return all;
		}
	}
}
