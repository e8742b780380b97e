// SPDX-License-Identifier: Apache-2.0
/* Every layout of cgroup paths that kubelets and runtimes are known to make, and paths that only resemble them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "user/cgroup.h"
#include "user/cleanup.h"

#define ID     "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define ID2    "aa17c0de00112233445566778899aabbccddeeff00112233445566778899aabb"
#define UID    "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID_   "6f1d2c3b_4a5e_4f60_8b7c_9d0e1f2a3b4c"
#define UID2   "00000000-1111-4222-8333-444444444444"
#define STATIC "d41d8cd98f00b204e9800998ecf8427e"

struct path_case {
	const char *what, *path, *uid, *container; /* NULL, NULL: neither pod nor container */
	enum cgroup_qos qos;
};

static const struct path_case pods[] = {
	/* cgroupfs driver */
	{ "containerd, besteffort", "/kubepods/besteffort/pod" UID "/" ID, UID, ID, QOS_BESTEFFORT },
	{ "containerd, burstable (GKE)", "/kubepods/burstable/pod" UID "/" ID, UID, ID, QOS_BURSTABLE },
	{ "guaranteed has no level", "/kubepods/pod" UID "/" ID, UID, ID, QOS_GUARANTEED },
	{ "static pod", "/kubepods/burstable/pod" STATIC "/" ID, STATIC, ID, QOS_BURSTABLE },
	{ "CRI-O", "/kubepods/besteffort/pod" UID "/crio-" ID, UID, ID, QOS_BESTEFFORT },
	{ "CRI-O's monitor", "/kubepods/besteffort/pod" UID "/crio-conmon-" ID, UID, "", QOS_BESTEFFORT },
	{ "the pod itself", "/kubepods/besteffort/pod" UID, UID, "", QOS_BESTEFFORT },
	{ "systemd in the container", "/kubepods/burstable/pod" UID "/" ID "/system.slice/a.service", UID, ID,
	  QOS_BURSTABLE },
	{ "docker in the pod", "/kubepods/burstable/pod" UID "/" ID "/docker/" ID2, UID, ID, QOS_BURSTABLE },
	{ "kind in the pod: the outer pod",
	  "/kubepods/burstable/pod" UID "/" ID "/docker/" ID2 "/kubelet/kubepods/pod" UID2 "/" ID2, UID, ID,
	  QOS_BURSTABLE },
	{ "kubelet --cgroup-root", "/tenants/a/kubepods/burstable/pod" UID "/" ID, UID, ID, QOS_BURSTABLE },
	{ "kata's sandbox is no container", "/kubepods/burstable/pod" UID "/kata_overhead", UID, "", QOS_BURSTABLE },

	/* systemd driver */
	{ "containerd, besteffort",
	  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  UID, ID, QOS_BESTEFFORT },
	{ "containerd, burstable (EKS)",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  UID, ID, QOS_BURSTABLE },
	{ "containerd, guaranteed", "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope", UID, ID,
	  QOS_GUARANTEED },
	{ "CRI-O (OpenShift)",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/crio-" ID ".scope", UID, ID,
	  QOS_BURSTABLE },
	{ "CRI-O with crun", "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container", UID, ID,
	  QOS_GUARANTEED },
	{ "CRI-O's monitor", "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope", UID, "",
	  QOS_GUARANTEED },
	{ "docker", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/docker-" ID ".scope",
	  UID, ID, QOS_BURSTABLE },
	{ "static pod",
	  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" STATIC ".slice/crio-" ID ".scope", STATIC,
	  ID, QOS_BURSTABLE },
	{ "runc told a systemd path",
	  "/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID, UID, ID,
	  QOS_BURSTABLE },
	{ "the same at the root (k3s)", "/kubepods-besteffort-pod" UID_ ".slice:cri-containerd:" ID, UID, ID,
	  QOS_BESTEFFORT },
	{ "the pod itself", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice", UID, "",
	  QOS_BESTEFFORT },

	/* a kubelet within a container: kind, k3d, minikube */
	{ "kind, seen from the host", "/docker/" ID2 "/kubelet/kubepods/besteffort/pod" UID "/" ID, UID, ID,
	  QOS_BESTEFFORT },
	{ "kind, seen from its node", "/kubelet/kubepods/besteffort/pod" UID "/" ID, UID, ID, QOS_BESTEFFORT },
	{ "kind, systemd driver, node",
	  "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" UID_
	  ".slice/cri-containerd-" ID ".scope",
	  UID, ID, QOS_BURSTABLE },
	{ "kind, systemd driver, host",
	  "/system.slice/docker-" ID2 ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
	  ".slice/cri-containerd-" ID ".scope",
	  UID, ID, QOS_GUARANTEED },
	{ "k3d", "/docker/" ID2 "/kubepods/burstable/pod" UID "/" ID, UID, ID, QOS_BURSTABLE },
	{ "k3s, rootless",
	  "/user.slice/user-1000.slice/user@1000.service/app.slice/k3s-rootless.service/kubepods/besteffort/pod" UID
	  "/" ID,
	  UID, ID, QOS_BESTEFFORT },
	{ "node in LXC", "/lxc.payload.node1/kubepods/besteffort/pod" UID "/" ID, UID, ID, QOS_BESTEFFORT },
	{ "its monitor keeps the pod, not the node's container",
	  "/docker/" ID2 "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope", UID, "",
	  QOS_GUARANTEED },

	/* as /proc/PID/cgroup shows them to a reader in a cgroup namespace of its own */
	{ "from above", "/../../kubepods/besteffort/pod" UID "/" ID, UID, ID, QOS_BESTEFFORT },
	{ "pod of the reader's level", "/../../pod" UID "/" ID, UID, ID, QOS_NONE },
	{ "pod of another level", "/../../../burstable/pod" UID "/" ID, UID, ID, QOS_BURSTABLE },
	{ "slice of another level",
	  "/../../../kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/crio-" ID ".scope", UID, ID,
	  QOS_BURSTABLE },
	{ "container of the reader's pod", "/../" ID, "", ID, QOS_NONE },
	{ "removed", "/kubepods/besteffort/pod" UID "/" ID " (deleted)", UID, ID, QOS_BESTEFFORT },
	{ "doubled and trailing slashes", "//kubepods//besteffort/pod" UID "/" ID "/", UID, ID, QOS_BESTEFFORT },
};

static const struct path_case containers[] = {
	{ "docker, cgroupfs", "/docker/" ID, "", ID },
	{ "docker, systemd", "/system.slice/docker-" ID ".scope", "", ID },
	{ "docker, systemd path without systemd", "/system.slice:docker:" ID, "", ID },
	{ "docker --cgroup-parent (ECS)", "/ecs/my-cluster/0d7a/" ID, "", ID },
	{ "a service in a docker container", "/docker/" ID "/system.slice/sshd.service", "", ID },
	{ "docker in docker: the outer one", "/docker/" ID "/docker/" ID2, "", ID },
	{ "podman, systemd", "/machine.slice/libpod-" ID ".scope", "", ID },
	{ "podman, systemd, its inner group", "/machine.slice/libpod-" ID ".scope/container", "", ID },
	{ "podman, rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", "", ID },
	{ "podman, cgroupfs", "/libpod_parent/libpod-" ID, "", ID },
	{ "podman, split", "/system.slice/web.service/libpod-payload-" ID, "", ID },
	{ "podman, in a podman pod", "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope", "", ID },
	{ "nerdctl", "/system.slice/nerdctl-" ID ".scope", "", ID },
	{ "CRI-O without a kubelet", "/system.slice/crio-" ID ".scope", "", ID },
};

static const struct path_case strangers[] = {
	{ "the root", "/" },
	{ "nothing", "" },
	{ "a service", "/system.slice/ssh.service" },
	{ "the kubelet", "/system.slice/kubelet.service" },
	{ "the runtime", "/system.slice/containerd.service" },
	{ "a user's session", "/user.slice/user-1000.slice/session-3.scope" },
	{ "init", "/init.scope" },
	{ "LXC", "/lxc.payload.web1/system.slice/nginx.service" },
	{ "LXC, old", "/lxc/web1" },
	{ "systemd-nspawn", "/machine.slice/systemd-nspawn@web1.service/payload" },
	{ "libvirt", "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator" },
	{ "a podman pod", "/machine.slice/machine-libpod_pod_" ID ".slice" },
	{ "podman's monitor", "/machine.slice/libpod-conmon-" ID ".scope" },
	{ "CRI-O's monitor", "/system.slice/crio-conmon-" ID ".scope" },
	{ "the level of all pods", "/kubepods.slice/kubepods-besteffort.slice" },
	{ "the level of all pods, cgroupfs", "/kubepods/burstable" },
	{ "no leading slash", "kubepods/besteffort/pod" UID "/" ID },
	{ "pod without kubepods", "/besteffort/pod" UID },
	{ "pod below a service", "/system.slice/pod" UID },
	{ "kubepods further up", "/kubepods/other/pod" UID },
	{ "an unknown level", "/kubepods/gold/besteffort/pod" UID },
	{ "uid one digit short", "/kubepods/besteffort/pod6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4" },
	{ "uid one digit long", "/kubepods/besteffort/pod" UID "c" },
	{ "uid in capitals", "/kubepods/besteffort/pod6F1D2C3B-4A5E-4F60-8B7C-9D0E1F2A3B4C" },
	{ "uid with dashes elsewhere", "/kubepods/besteffort/pod6f1d2c3b4-a5e-4f60-8b7c-9d0e1f2a3b4c" },
	{ "uid with underscores in a plain directory", "/kubepods/besteffort/pod" UID_ },
	{ "uid not hexadecimal", "/kubepods/besteffort/podgf1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c" },
	{ "static uid one digit short", "/kubepods/besteffort/podd41d8cd98f00b204e9800998ecf8427" },
	{ "slice with dashes in the uid", "/kubepods.slice/kubepods-besteffort-pod" UID ".slice" },
	{ "slice of a name that ends in kubepods", "/notkubepods-pod" UID_ ".slice" },
	{ "slice of an unknown level", "/kubepods.slice/kubepods-gold-pod" UID_ ".slice" },
	{ "slice that is a scope", "/kubepods.slice/kubepods-pod" UID_ ".scope" },
	{ "level and pod grown together", "/kubepods.slice/kubepods-burstablepod" UID_ ".slice" },
	{ "short id, as docker ps shows it", "/docker/3f7c1e0ab95d" },
	{ "id one digit short", "/docker/3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf024" },
	{ "id one digit long", "/docker/" ID "0" },
	{ "id in capitals", "/docker/3F7C1E0AB95D2468ACE013579BDF02468ACE13579BDF02468ACE13579BDF0246" },
	{ "32 digits", "/process_api/" STATIC },
	{ "unknown runtime", "/system.slice/mything-" ID ".scope" },
	{ "the runtime's name alone", "/system.slice/docker-.scope" },
	{ "no dash before the id", "/system.slice/docker" ID ".scope" },
	{ "a service, not a scope", "/system.slice/docker-" ID ".service" },
	{ "a mount of docker's", "/system.slice/var-lib-docker-overlay2-" ID "-merged.mount" },
	{ "runc-style, unknown runtime", "/system.slice:mything:" ID },
	{ "runc-style, not a slice", "/system:docker:" ID },
	{ "runc-style, too many parts", "/system.slice:docker:x:" ID },
};

static void check(const struct path_case *expected)
{
	struct cgroup_path parsed, before;
	memset(&before, 0x5a, sizeof(before));
	parsed = before;

	bool found = cgroup_path_parse(expected->path, &parsed);
	if (found != (expected->uid || expected->container))
		fail_msg("%s: %s: %s", expected->what, expected->path,
		         found ? "taken for a pod or container" : "not recognised");
	if (!found || !expected->uid || !expected->container) {
		assert_memory_equal(&parsed, &before, sizeof(parsed));
		return;
	}
	if (strcmp(parsed.pod_uid, expected->uid) || strcmp(parsed.container_id, expected->container) ||
	    parsed.qos != expected->qos)
		fail_msg("%s: %s: pod \"%s\" container \"%s\" qos %d", expected->what, expected->path, parsed.pod_uid,
		         parsed.container_id, (int)parsed.qos);
}

static void test_pods(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pods); i++)
		check(&pods[i]);
}

static void test_containers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(containers); i++)
		check(&containers[i]);
}

static void test_strangers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		check(&strangers[i]);
}

/* Each cut of a good path gives a pod, a container, or nothing: never a shortened id. */
static void test_every_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pods); i++) {
		char path[512];
		size_t size = strlen(pods[i].path);
		assert_true(size < sizeof(path));
		for (size_t cut = 0; cut < size; cut++) {
			struct cgroup_path parsed;
			memcpy(path, pods[i].path, cut);
			path[cut] = '\0';
			if (!cgroup_path_parse(path, &parsed))
				continue;
			size_t uid = strlen(parsed.pod_uid), id = strlen(parsed.container_id);
			assert_true(uid == 0 || uid == 32 || uid == 36);
			assert_true(id == 0 || id == 64);
			assert_true(uid || id);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
