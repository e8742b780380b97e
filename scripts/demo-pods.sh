#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demo's namespaces, cgroups and processes: made, and removed. Part of scripts/demo.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

# Two pods and the backend, each a network namespace with a veth whose host end has the namespace's name. Addresses are
# from the range for benchmarks (RFC 2544) and from a random ULA prefix.
pods=(sonde-demo-a sonde-demo-b)
sink=sonde-demo-sink
declare -A host_end=([sonde-demo-a]=198.18.77.1 [sonde-demo-b]=198.18.77.5 [$sink]=198.18.77.9)
declare -A pod_end=([sonde-demo-a]=198.18.77.2 [sonde-demo-b]=198.18.77.6 [$sink]=198.18.77.10)
declare -A prefix6=([sonde-demo-a]=fd7a:11d7:c0de:a [sonde-demo-b]=fd7a:11d7:c0de:b)
declare -A pod_name=([sonde-demo-a]=cart-6b7f9c-x2x9k [sonde-demo-b]=catalog-0)
declare -A container_name=([sonde-demo-a]=cart [sonde-demo-b]=catalog)

work=/run/sonde-demo # what is removed at the end; also the lock that two demos contend for
lock=                # its descriptor
cgroups=             # the demo's cgroup, below the cgroup v2 mount
declare -A pod_cgroup=()

# wait_until SECONDS COMMAND...: true as soon as COMMAND is.
wait_until() {
	local tries=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		((tries-- > 0)) || return 1
		sleep 0.05
	done
}

# Where the cgroup v2 tree is: /sys/fs/cgroup, or on hybrid systems a directory in it.
find_cgroup2() {
	local mount
	mount=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' \
		/proc/self/mountinfo)
	if [[ -z $mount ]]; then
		mount=$work/cgroup
		mkdir -p "$mount"
		mount -t cgroup2 none "$mount"
		say "no cgroup v2 tree is mounted here: mounted one for the demo at $mount"
	fi
	cgroups=$mount/sonde-demo
}

all_gone() {
	local file
	while read -r file; do
		[[ -z $(<"$file") ]] || return 1
	done < <(find "$cgroups" -name cgroup.procs)
}

# Everything that has the demo's name, whichever run of it made it.
remove_workloads() {
	local name pid
	if [[ -d $cgroups ]]; then
		while read -r pid; do
			kill -KILL "$pid" 2>/dev/null || true
		done < <(find "$cgroups" -name cgroup.procs -exec cat {} +)
		wait_until 5 all_gone || true
		find "$cgroups" -depth -type d -exec rmdir {} \;
	fi
	for name in "${pods[@]}" "$sink"; do
		if [[ -e /run/netns/$name ]]; then
			ip netns del "$name"
		fi
		# It goes with the namespace, but in the kernel's own time.
		wait_until 5 test ! -e "/sys/class/net/$name" || ip link del "$name"
	done
}

# start CGROUP NAMESPACE COMMAND...: in a session of its own, so that Ctrl-C is the demo's alone; its pid is in $!. A
# process joins its cgroup before it makes a socket: the cgroup is the socket's for good.
start() {
	local cgroup=$1 namespace=$2
	shift 2
	[[ -z $namespace ]] || set -- nsenter --net="/run/netns/$namespace" "$@"
	mkdir -p "$cgroup"
	# shellcheck disable=SC2016  # the inner shell expands it
	env -i PATH="$PATH" setsid sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@" {lock}<&- &
}

make_namespace() {
	local name=$1
	ip netns add "$name"
	ip link add "$name" type veth peer name eth0 netns "$name"
	ip addr add "${host_end[$name]}/30" dev "$name"
	ip -n "$name" addr add "${pod_end[$name]}/30" dev eth0
	# Without link-local addresses there is less of IPv6's own chatter to look at.
	ip link set "$name" addrgenmode none
	ip -n "$name" link set eth0 addrgenmode none
	if [[ -n ${prefix6[$name]-} && -e /proc/sys/net/ipv6 ]]; then
		ip addr add "${prefix6[$name]}::1/64" dev "$name" nodad
		ip -n "$name" addr add "${prefix6[$name]}::2/64" dev eth0 nodad
	fi
	ip link set "$name" up
	ip -n "$name" link set lo up
	ip -n "$name" link set eth0 up
	ip -n "$name" route add default via "${host_end[$name]}"
	# Of this interface alone: net.ipv4.ip_forward and all else stays as it is.
	echo 1 >"/proc/sys/net/ipv4/conf/$name/forwarding"
}

hex() {
	od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

# A pod as the kubelet makes it: its cgroup, and its name in the directory of logs.
make_pod() {
	local name=$1 uid
	uid=$(</proc/sys/kernel/random/uuid)
	make_namespace "$name"
	mkdir -p "$work/pods/shop_${pod_name[$name]}_$uid/${container_name[$name]}"
	pod_cgroup[$name]=$cgroups/kubepods/besteffort/pod$uid/$(hex 32)
}

# free_port PROTOCOL PORT...: the first port that nobody listens at on all addresses of this machine.
free_port() {
	local protocol=$1 port
	shift
	for port; do
		ss -Hln --"$protocol" "sport = :$port" | grep -qE '(0\.0\.0\.0|\*|\[::\])(%[^:]*)?:'"$port " || break
	done
	echo "$port"
}

start_workloads() {
	local name other http dns host=()
	http=$(free_port tcp 80 8080 18080)
	dns=$(free_port udp 53 1053 10053)
	for name in "${pods[@]}"; do
		host+=(--listen "${host_end[$name]}")
		[[ ! -e /proc/sys/net/ipv6 ]] || host+=(--listen "${prefix6[$name]}::1")
	done
	start "$cgroups/host" "" "$root/scripts/demo-workload" --http "$http" --dns "$dns" "${host[@]}"
	for name in "${pods[@]}"; do
		other=sonde-demo-a
		[[ $name != sonde-demo-a ]] || other=sonde-demo-b
		local peers=("${pod_name[$other]}=${pod_end[$other]},80,53" "host=${host_end[$name]},$http,$dns")
		[[ ! -e /proc/sys/net/ipv6 ]] || peers+=("host=${prefix6[$name]}::1,$http,$dns")
		start "${pod_cgroup[$name]}" "$name" "$root/scripts/demo-workload" --listen "${pod_end[$name]}" "${peers[@]}"
	done
}
