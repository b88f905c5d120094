// SPDX-License-Identifier: Apache-2.0
// The table of verbs. Dispatch, help and completion come from here and from
// nowhere else.
#include <array>

#include "cli.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::size_t any = SIZE_MAX;

constexpr const char *life = "Life of a VM";
constexpr const char *look = "Looking";
constexpr const char *stock = "Images";
constexpr const char *wires = "Networks";
constexpr const char *host = "This machine";

constexpr option all{"all", "", "every VM there is"};
constexpr option json{"json", "", "one JSON array"};
constexpr option memory{"memory,m", "SIZE",
			"memory of each VM, as 512K, 16M or 1.5G (16M, or as the image was loaded)"};

constexpr option net{"net", "NAME[,ip=IP][,dns=IP][,rate=RATE][,router]",
		     "a place on this network: an address there, a name server, a limit as 10mbit; up to four times",
		     true};

constexpr option net_again{"net", "NAME[,ip=IP][,dns=IP][,rate=RATE][,router]",
			   "a place on this network; on the first one, a VM keeps its address if that is free", true};

constexpr option publish{
	"publish,p", "[ADDRESS:]PORT:PORT[/udp]",
	"lead this port of this host, or of one of its addresses, to that of the VM; several times, if wanted", true};

// Of one who stays to be the proxy.
constexpr option publish_meanwhile{
	publish.names, publish.value,
	"lead this port of this host to that of the VM; several times, if wanted; without --net no rights are needed",
	true};

constexpr std::array run_options{
	option{"detach,d", "", "in the background; prints the id"},
	option{"name", "NAME", "name of the VM"},
	memory,
	net,
	publish_meanwhile,
	option{"snapshot-when-ready", "NAME", "make an image when the guest says that it is ready"},
};
constexpr option how_many{"number,n", "N", "how many (1)"};
constexpr option prefix{"name", "PREFIX", "name; for several: PREFIX-1, PREFIX-2 …"};
constexpr option only_ids{"quiet,q", "", "only ids, on standard output"};
constexpr option progress{"progress", "", "tell how far it is, also without a terminal"};

constexpr std::array spawn_options{how_many, prefix, memory, net, publish, only_ids, progress};
constexpr std::array clone_options{how_many, prefix, net, only_ids, progress};
constexpr std::array restore_options{
	how_many,  prefix,
	net_again, only_ids,
	progress,  option{"incoming", "", "what migrate calls: wait for the sender to say that the VM is ours"},
};
constexpr std::array migrate_options{
	option{"via", "COMMAND",
	       "instead of ssh to a host: a shell command that runs 'vmctl restore --incoming -' there"},
	option{"name", "NAME", "its name there (the same as here)"},
	option{"net", "NAME[,ip=IP][,dns=IP][,rate=RATE][,router]",
	       "its networks there (called as here); on the first it keeps its address if that is free", true},
	option{"timeout", "SECONDS", "give up when nothing has moved for so long (60)"},
};
constexpr std::array ps_options{
	option{"all,a", "", "ended ones too"},
	option{"quiet,q", "", "only ids"},
	option{"all-rows", "", "more than a screenful, and whole lines, on a terminal"},
	json,
};
constexpr std::array stats_options{
	option{"all,a", "", "ended ones too"},
	option{"exits", "", "why VMs left guest mode, a column for each reason"},
	option{"interval,i", "SECONDS", "from one sample to the next, from 0.1 on (1)"},
	option{"no-stream", "", "one sample, over one interval"},
	option{"json", "", "one JSON array a sample, with all counters"},
};
constexpr std::array logs_options{
	option{"follow,f", "", "go on until the VM ends"},
	all,
};
constexpr std::array inspect_options{all, json};
constexpr std::array control_options{all};
constexpr std::array stop_options{
	option{"time,t", "SECONDS", "how long to wait before killing (10)"},
	option{"force,f", "", "do not wait"},
	all,
};
constexpr std::array ip_options{option{"ipv6,6", "", "its IPv6 address instead"}};
constexpr std::array rm_options{option{"force,f", "", "kill it first"}, all};
constexpr std::array wait_options{all, json};
constexpr std::array json_options{json};
constexpr option take_name{"force,f", "", "take the name from the image that has it"};
constexpr std::array image_ls_options{option{"quiet,q", "", "only ids of loaded ones"}, json};
constexpr std::array image_rm_options{option{"all", "", "every image with a name"}};
constexpr std::array image_tag_options{take_name};
constexpr std::array snapshot_options{
	option{"when-ready", "", "wait until the guest says that it is, and take it right there"},
	take_name,
};
constexpr std::array save_options{
	option{"stop", "", "end the VM once the file is complete; it stands still meanwhile"},
};
constexpr std::array image_load_options{
	option{"name", "NAME", "its name (what the file is called)"},
	option{"memory,m", "SIZE", "memory of a VM made without -m, as 512K, 16M or 1.5G (16M)"},
	option{"cpu", "LEVEL", "what the guest needs of the CPU: sse2 or sse4.2 (sse2)"},
	option{"same-tsc", "", "the guest counts ticks: restore it only where its TSC can be as fast as here"},
	take_name,
};
constexpr std::array net_create_options{
	option{"subnet", "CIDR", "its addresses, as 10.9.0.0/16, where the host gets 10.9.0.1"},
	option{"subnet6", "CIDR", "IPv6 addresses too, as fd00:9::/64: a VM's ends with its IPv4 address"},
	option{"policy", "POLICY", "VMs reach each other: direct; through this host's firewall: host; not: isolated"},
	option{"mtu", "BYTES", "of a packet at most (65520)"},
	option{"nat", "", "its VMs reach the world, by addresses of this host's"},
	option{"owner", "USER", "who may attach VMs, besides root"},
	option{"netns", "NAME", "make it in this network namespace, as ip netns add has made it"},
};
constexpr std::array net_ls_options{option{"quiet,q", "", "only names"}, json};
constexpr std::array net_on_demand_options{
	option{"range", "CIDR", "addresses that get their VMs when a packet comes, as 10.9.4.0/24"},
	option{"image", "IMAGE", "what the VMs are made from: an image, or a snapshot of one that is ready"},
	memory,
	option{"ports", "PORT[/udp]", "only packets for this port make one; several times, if wanted (any)", true},
	option{"idle", "TIME", "end a VM that has had nothing to do for so long, as 500ms or 5m (2s)"},
	option{"keep", "cold", "do not end them: they sleep"},
	option{"rate", "N", "make so many a second at most (1000)"},
	option{"max", "N", "so many at once at most (all)"},
	option{"rm", "CIDR", "make none for these addresses any more"},
	json,
};
constexpr std::array net_rm_options{option{"force,f", "", "also with VMs, which live on without it"}};
constexpr std::array help_options{option{"man", "", "all of it as a page, for: vmctl help --man | man -l -"}};

// clang-format off
constexpr std::array table{
	verb{"run", "", life, "run [-d] [--name NAME] [-m SIZE] [--net NET] [-p PORT:PORT] [--snapshot-when-ready NAME] [IMAGE] [-- ARGS…]",
	     "Run a VM in the foreground; ends with the guest's status", run_options, 1, true, verb_run},
	verb{"spawn", "", life, "spawn [-n N] [--name PREFIX] [-m SIZE] [--net NET] [-p PORT:PORT] [-q] [IMAGE] [-- ARGS…]",
	     "Start VMs in the background", spawn_options, 1, true, verb_spawn},
	verb{"create", "define", life, "create [-n N] [--name PREFIX] [-m SIZE] [--net NET] [-p PORT:PORT] [-q] [IMAGE] [-- ARGS…]",
	     "Make VMs without starting them", spawn_options, 1, true, verb_create},
	verb{"clone", "", life, "clone [-n N] [--name PREFIX] [--net NET] [-q] VM [-- ARGS…]",
	     "Start VMs that go on from where another one is", clone_options, 1, true, verb_clone},
	verb{"restore", "", life, "restore [-n N] [--name PREFIX] [--net NET] [-q] FILE|- [-- ARGS…]",
	     "Start VMs that go on from a saved one", restore_options, 1, true, verb_restore},
	verb{"migrate", "", life, "migrate [--name NAME] [--net NET] VM HOST | migrate --via COMMAND VM",
	     "Move a VM to another host, by ssh; prints its id there", migrate_options, 2, false,
	     verb_migrate},
	verb{"start", "", life, "start VM… | --all", "Start VMs that were created", control_options, any, false,
	     verb_start},
	verb{"pause", "suspend", life, "pause VM… | --all", "Hold VMs where they are", control_options, any, false,
	     verb_pause},
	verb{"unpause", "resume", life, "unpause VM… | --all", "Let paused VMs go on", control_options, any, false,
	     verb_unpause},
	verb{"stop", "shutdown", life, "stop [-t SECONDS] [-f] VM… | --all",
	     "Ask VMs to stop, and kill those that do not", stop_options, any, false, verb_stop},
	verb{"kill", "destroy", life, "kill VM… | --all", "End VMs at once", control_options, any, false, verb_kill},
	verb{"rm", "remove undefine", life, "rm [-f] VM… | --all", "Forget ended VMs", rm_options, any, false, verb_rm},
	verb{"wait", "", life, "wait VM… | --all", "Wait for VMs to end; ends with the last one's status",
	     wait_options, any, false, verb_wait},
	verb{"ps", "ls list status show", look, "ps [-a] [-q] [--json] [VM…]", "List VMs", ps_options, any, false,
	     verb_ps},
	verb{"stats", "top domstats", look, "stats [-a] [--exits] [-i SECONDS] [--no-stream] [--json] [VM…]",
	     "Watch what VMs use; Ctrl-C leaves", stats_options, any, false,
	     verb_stats},
	verb{"logs", "", look, "logs [-f] VM… | --all", "Print what guests have written", logs_options, any, false,
	     verb_logs},
	verb{"console", "attach", look, "console VM", "Watch a guest's console; Ctrl-] leaves", {}, 1, false,
	     verb_attach},
	verb{"inspect", "dominfo", look, "inspect VM… | --all", "Print all there is to know, as JSON",
	     inspect_options, any, false, verb_inspect},
	verb{"ip", "domifaddr", look, "ip [-6] VM", "Print a VM's address, one for each of its networks", ip_options, 1, false, verb_ip},
	verb{"image ls", "images", stock, "image ls [-q] [--json]", "List the images: those loaded into the module, and the bundled ones",
	     image_ls_options, 0, false, verb_image_ls},
	verb{"snapshot", "commit", stock, "snapshot [--when-ready] [-f] VM NAME",
	     "Make an image of a VM as it is, which goes on; prints the image's id", snapshot_options, 2, false,
	     verb_snapshot},
	verb{"save", "", stock, "save [--stop] VM|IMAGE FILE|-",
	     "Write a VM as it is, which goes on, or an image to a file", save_options, 2, false, verb_save},
	verb{"image inspect", "", stock, "image inspect IMAGE…", "Print all there is to know about images, as JSON",
	     json_options, any, false, verb_image_inspect},
	verb{"image load", "", stock, "image load [--name NAME] [-m SIZE] [--cpu LEVEL] [--same-tsc] [-f] FILE",
	     "Keep an ELF file or a saved image in the module, until image rm or rmmod; prints its id",
	     image_load_options, 1, false, verb_image_load},
	verb{"image tag", "tag", stock, "image tag [-f] LOADED NAME",
	     "Rename a loaded image, or name it: it has one name at most", image_tag_options, 2, false,
	     verb_image_tag},
	verb{"image rm", "rmi", stock, "image rm LOADED… | --all",
	     "Forget names of images; an image goes with the last VM made from it", image_rm_options, any, false,
	     verb_image_rm},
	verb{"net create", "", wires, "net create NAME --subnet CIDR [--subnet6 CIDR] [--policy POLICY] [--mtu BYTES] [--nat] [--owner USER]",
	     "Make a network for VMs: a device of this host's", net_create_options, 1, false,
	     verb_net_create},
	verb{"net ls", "", wires, "net ls [-q] [--json]", "List the networks", net_ls_options, 0, false, verb_net_ls},
	verb{"net hosts", "", wires, "net hosts NETWORK…",
	     "Print the addresses of VMs and their names, as NAME.mayfly, in the form of /etc/hosts", {}, any, false,
	     verb_net_hosts},
	verb{"net on-demand", "", wires, "net on-demand [NETWORK] [--range CIDR --image IMAGE [-m SIZE] [--ports PORT] [--idle TIME | --keep cold] [--rate N] [--max N] [-- ARGS…] | --rm CIDR]",
	     "Have packets make VMs, which end when they are idle; else list the addresses that do", net_on_demand_options, 1, true,
	     verb_net_on_demand},
	verb{"net inspect", "", wires, "net inspect NETWORK…",
	     "Print all there is to know about networks, as JSON",
	     json_options, any, false, verb_net_inspect},
	verb{"net rm", "", wires, "net rm [-f] NAME…", "Remove networks", net_rm_options, any, false, verb_net_rm},
	verb{"doctor", "", host, "doctor [--json]", "Say what keeps Mayfly from running here, and what swallows packets of networks", json_options, 0,
	     false, verb_doctor},
	verb{"info", "host", host, "info [--json]", "Print the module's numbers", json_options, 0, false, verb_info},
	verb{"version", "", host, "version", "Print vmctl's version", {}, 0, false, verb_version},
	verb{"help", "", host, "help [--man | COMMAND]", "Explain a command, or list them", help_options, 2, false,
	     verb_help},
	verb{"completion", "", host, "completion bash", "Print a completion script for the shell", {}, 1, false,
	     verb_completion},
};
// clang-format on

} // namespace

std::span<const verb> verbs()
{
	return table;
}

} // namespace vmctl::cli
