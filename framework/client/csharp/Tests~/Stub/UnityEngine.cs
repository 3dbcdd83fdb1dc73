// SPDX-License-Identifier: MIT

// As much of UnityEngine as the glue in Unity/ uses, so that it compiles without Unity.
namespace UnityEngine
{
	public class MonoBehaviour
	{
	}

	public enum NetworkReachability { NotReachable, ReachableViaCarrierDataNetwork, ReachableViaLocalAreaNetwork }

	public static class Application
	{
		public static NetworkReachability internetReachability { get { return NetworkReachability.NotReachable; } }
	}
}
