// SPDX-License-Identifier: Apache-2.0
// A pretended Mayfly behind the library's seam: files from a map, VMs in a list,
// every call counted.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <mayfly.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <vmctl/vmctl.hpp>

class fake_module final : public vmctl::system
{
public:
	struct raw_vcpu {
		mayfly_vcpu_state registers;
		unsigned char fpu[MAYFLY_FXSAVE_SIZE];
	};

	// What the host looks like.
	std::map<std::string, std::string> files;
	std::map<std::string, int> open_errors;        // path to errno
	std::map<std::string, std::uint32_t> networks; // devices, by name
	std::uint64_t msr = 0;

	// What the module has, and does.
	std::vector<mayfly_vm_info> vms;
	std::map<std::uint64_t, std::string> consoles;
	std::vector<mayfly_attach_net> places; // of spawns
	mayfly_info module_info{};
	std::uint32_t list_most = MAYFLY_MAX_BATCH; // rows in one LIST, whatever is asked
	int list_error = 0;
	int snapshot_error = 0;
	std::uint32_t snapshot_flags = 0;      // of the last one
	bool readies = false;                  // guests say that they are ready, once in each RUN that asks
	std::uint64_t spawn_most = UINT64_MAX; // VMs until SPAWN fails ...
	int spawn_error = ENOMEM;              // ... like this
	bool ends_when_notified = true;
	int interruptions = 0;                            // how many CONTROLs are cut short
	std::map<std::uint64_t, mayfly_vm_info> counters; // what STAT adds to a VM's row
	std::function<void()> while_waiting;              // what happens during a poll()
	std::function<void(std::uint64_t)> before_open;   // and right before an OPEN
	std::function<void()> while_running;              // during a RUN
	std::function<void()> before_read;                // or a read of a console
	std::map<std::uint64_t, raw_vcpu> states;         // by VM
	short poll_events = 0;                            // what poll() finds
	std::uint32_t outcome = MAYFLY_RAN_ENDED;         // of RUN ...
	int agains = 0;                                   // after so many MAYFLY_RAN_AGAIN
	winsize terminal{};                               // no terminal while it has no rows
	int keys_error = EAGAIN;                          // of reading what is no descriptor of ours
	std::map<std::uint64_t, int> remove_errors;       // of CONTROL, by VM
	struct ::stat device_status {};                   // of /dev/mayfly: its group and mode

	// What was asked of it.
	std::map<unsigned long, int> calls;
	std::vector<mayfly_spawn> spawns;
	std::vector<std::string> spawn_arguments;
	mayfly_image_create image{}; // the last
	std::vector<mayfly_segment> segments;
	std::vector<mayfly_image_info> images; // they stay
	std::uint32_t tag_flags = 0;
	std::vector<std::uint32_t> operations;
	std::vector<std::uint32_t> ports;
	std::vector<std::uint32_t> run_flags;
	std::vector<int> timeouts; // of poll()
	std::vector<int> open_fds;

	fake_module()
	{
		module_info.api_version = MAYFLY_API_VERSION;
		module_info.backend = 1;
		module_info.features = MAYFLY_FEATURE_CPU_LEVELS | MAYFLY_FEATURE_IMAGE_NAMES |
				       MAYFLY_FEATURE_END_RECORDS | MAYFLY_FEATURE_MEMORY | MAYFLY_FEATURE_SNAPSHOTS |
				       MAYFLY_FEATURE_READY | MAYFLY_FEATURE_SAVE | MAYFLY_FEATURE_NET |
				       MAYFLY_FEATURE_DEMAND;
		module_info.cpu_vendor = MAYFLY_VENDOR_AMD;
		module_info.cpu_level = MAYFLY_CPU_SSE42;
		module_info.max_vms = 100000;
		module_info.max_vms_user = 100000;
		module_info.memory_default = MAYFLY_MEMORY_DEFAULT;
		module_info.memory_max = 1ull << 30;
		files["/proc/cpuinfo"] = "processor\t: 0\nflags\t\t: fpu svm nx\n";
		files["/sys/module/mayfly"] = "";
		files["/dev/mayfly"] = "";
		files["/etc/group"] = "root:x:0:\nkvm:x:107:\n";
		device_status.st_mode = 0660;
		device_status.st_gid = 107;
	}

	mayfly_vm_info &add(const std::string &name, std::uint32_t state = MAYFLY_PARKED)
	{
		mayfly_vm_info row{};

		row.id = ++last_id_;
		row.state = state;
		row.private_bytes = 36864;
		row.exits = 3;
		row.memory = MAYFLY_MEMORY_DEFAULT;
		row.flags = MAYFLY_VM_DETACHED | MAYFLY_VM_STARTED;
		std::strncpy(row.name, name.c_str(), sizeof row.name - 1);
		std::strcpy(row.image, "hello");
		return vms.emplace_back(row);
	}

	mayfly_vm_info *find(std::uint64_t id)
	{
		const auto at = std::ranges::find(vms, id, &mayfly_vm_info::id);

		return at == vms.end() ? nullptr : &*at;
	}

	static void end(mayfly_vm_info &row, std::uint32_t reason, int status = 0)
	{
		row.state = MAYFLY_ENDED;
		row.reason = reason;
		row.status = status;
	}

	int open(const std::string &path, int) override
	{
		if (const auto wrong = open_errors.find(path); wrong != open_errors.end())
			return -wrong->second;
		if (!files.contains(path))
			return -ENOENT;
		return grant(path == "/dev/mayfly" ? device_fd : plain_fd);
	}

	int close(int fd) override
	{
		std::erase(open_fds, fd);
		return 0;
	}

	int ioctl(int fd, unsigned long request, void *argument) override
	{
		calls[request]++;
		switch (request) {
		case MAYFLY_INFO:
			return fill(*static_cast<mayfly_row *>(argument), module_info);
		case MAYFLY_IMAGE_CREATE:
			return create(*static_cast<mayfly_image_create *>(argument));
		case MAYFLY_SPAWN:
			return spawn(*static_cast<mayfly_spawn *>(argument));
		case MAYFLY_LIST:
			return list(*static_cast<mayfly_list *>(argument), vms, sizeof(mayfly_vm_info));
		case MAYFLY_IMAGE_LIST:
			return list(*static_cast<mayfly_list *>(argument), images, sizeof(mayfly_image_info));
		case MAYFLY_IMAGE_OPEN:
			return open_image(*static_cast<mayfly_open *>(argument));
		case MAYFLY_IMAGE_TAG:
			return tag(image_of(fd), *static_cast<mayfly_tag *>(argument));
		case MAYFLY_IMAGE_REMOVE:
			return image_of(fd).name[0] == '\0' ? -ENOENT : (image_of(fd).name[0] = '\0', 0);
		case MAYFLY_CONTROL:
			return control(fd, *static_cast<mayfly_control *>(argument));
		case MAYFLY_OPEN: {
			auto *wanted = static_cast<mayfly_open *>(argument);

			if (before_open)
				before_open(wanted->id);
			if (find(wanted->id) == nullptr)
				return -ENOENT;
			wanted->fd = grant(vm_fd + static_cast<int>(wanted->id));
			return 0;
		}
		case MAYFLY_STAT:
			if (fd < vm_fd)
				return fill(*static_cast<mayfly_row *>(argument), image_of(fd));
			return stat(static_cast<std::uint64_t>(fd - vm_fd), *static_cast<mayfly_row *>(argument));
		case MAYFLY_SNAPSHOT:
			return snapshot(static_cast<std::uint64_t>(fd - vm_fd),
					*static_cast<mayfly_snapshot *>(argument));
		case MAYFLY_RUN:
			if (while_running)
				while_running();
			run_flags.push_back(static_cast<mayfly_run *>(argument)->flags);
			static_cast<mayfly_run *>(argument)->outcome = ran(*static_cast<mayfly_run *>(argument));
			return 0;
		case MAYFLY_GET_STATE:
			get_state(states[static_cast<std::uint64_t>(fd - vm_fd)],
				  *static_cast<mayfly_state *>(argument));
			return 0;
		case MAYFLY_SET_STATE:
			set_state(states[static_cast<std::uint64_t>(fd - vm_fd)],
				  *static_cast<mayfly_state *>(argument));
			return 0;
		case TIOCGWINSZ:
			if (terminal.ws_row == 0)
				return -ENOTTY;
			*static_cast<winsize *>(argument) = terminal;
			return 0;
		default:
			return -ENOTTY;
		}
	}

	ssize_t read(int fd, std::span<std::byte> buffer) override
	{
		if (fd < plain_fd)
			return -keys_error;
		if (fd == device_fd)
			return read_ends(buffer);

		if (before_read)
			before_read();

		std::string &text = consoles[static_cast<std::uint64_t>(fd - vm_fd)];
		const std::size_t length = std::min(buffer.size(), text.size());
		const mayfly_vm_info *row = find(static_cast<std::uint64_t>(fd - vm_fd));

		// Nobody sets a descriptor to waiting.
		if (length == 0 && row != nullptr && row->state != MAYFLY_ENDED)
			return -EAGAIN;
		std::memcpy(buffer.data(), text.data(), length);
		text.erase(0, length);
		return static_cast<ssize_t>(length);
	}

	ssize_t pread(int, std::span<std::byte> buffer, std::uint64_t) override
	{
		std::memcpy(buffer.data(), &msr, sizeof msr);
		return sizeof msr;
	}

	int poll(std::span<pollfd> fds, int timeout_ms) override
	{
		timeouts.push_back(timeout_ms);
		if (while_waiting)
			while_waiting();
		int ready = 0;

		for (pollfd &each : fds) {
			each.revents = each.fd < 0            ? short{}
				       : each.fd != device_fd ? poll_events
				       : fresh_ends().empty() ? short{}
							      : short{POLLIN};
			ready += each.revents != 0;
		}
		return ready;
	}

	int set_nonblocking(int) override { return 0; }
	bool exists(const std::string &path) override { return files.contains(path); }
	int status(const std::string &path, struct ::stat &found) override
	{
		if (path != "/dev/mayfly" || !files.contains(path))
			return -ENOENT;
		found = device_status;
		return 0;
	}
	std::uint32_t interface_index(const std::string &name) override
	{
		const auto found = networks.find(name);

		return found != networks.end() ? found->second : 0;
	}

	bool is_file(const std::string &path) override
	{
		const auto wrong = open_errors.find(path);

		return files.contains(path) && (wrong == open_errors.end() || wrong->second != EISDIR);
	}

	vmctl::result<std::vector<std::byte>> read_file(const std::string &path, std::size_t) override
	{
		if (const auto wrong = open_errors.find(path); wrong != open_errors.end())
			return vmctl::fail(wrong->second, path + ": " + vmctl::errno_text(wrong->second));
		if (!files.contains(path))
			return vmctl::fail(ENOENT, path + ": No such file or directory");

		const auto bytes = std::as_bytes(std::span(files[path]));

		return std::vector<std::byte>(bytes.begin(), bytes.end());
	}

private:
	static constexpr int plain_fd = 50, device_fd = 100, image_fd = 200, vm_fd = 1000;

	template <class T> static T *at(std::uint64_t address) { return reinterpret_cast<T *>(address); }

	int grant(int fd)
	{
		open_fds.push_back(fd);
		return fd;
	}

	template <class Row> static int fill(mayfly_row &wanted, const Row &row)
	{
		if (wanted.row_size != sizeof row || wanted.flags != 0)
			return -EINVAL;
		*at<Row>(wanted.row) = row;
		return 0;
	}

	static void get_state(const raw_vcpu &held, const mayfly_state &wanted)
	{
		*at<mayfly_vcpu_state>(wanted.registers) = held.registers;
		std::memcpy(at<void>(wanted.extended), held.fpu, wanted.extended_size);
	}

	static void set_state(raw_vcpu &held, const mayfly_state &wanted)
	{
		held.registers = *at<mayfly_vcpu_state>(wanted.registers);
		std::memcpy(held.fpu, at<void>(wanted.extended), wanted.extended_size);
	}

	// VMs that have ended, or gone, and have not been told of.
	std::vector<mayfly_end> fresh_ends()
	{
		std::vector<mayfly_end> all;

		for (std::uint64_t id = 1; id <= last_id_; id++) {
			const mayfly_vm_info *row = find(id);

			if ((row == nullptr || row->state == MAYFLY_ENDED) && !told_.contains(id))
				all.push_back({.id = id,
					       .reason = row ? row->reason : __u32{MAYFLY_END_KILLED},
					       .status = row ? row->status : 0});
		}
		return all;
	}

	ssize_t read_ends(std::span<std::byte> buffer)
	{
		const auto all = fresh_ends();
		const std::size_t n = std::min(all.size(), buffer.size() / sizeof(mayfly_end));

		if (n == 0)
			return -EAGAIN;
		std::memcpy(buffer.data(), all.data(), n * sizeof(mayfly_end));
		for (std::size_t i = 0; i < n; i++)
			told_.insert(all[i].id);
		return static_cast<ssize_t>(n * sizeof(mayfly_end));
	}

	int create(mayfly_image_create &wanted)
	{
		mayfly_image_info row{};

		row.users = 1; // the descriptor
		row.id = images.size() + 1;
		row.bytes = 20480;
		row.memory_min = wanted.memory_min;
		row.memory_default = wanted.memory_default ? wanted.memory_default : MAYFLY_MEMORY_DEFAULT;
		row.profile = wanted.profile;
		row.cpu_vendor = module_info.cpu_vendor;
		row.cpu_level = wanted.cpu_level;
		std::memcpy(row.label, wanted.label, sizeof row.label);
		images.push_back(row);
		wanted.fd = grant(image_fd + static_cast<int>(row.id));
		image = wanted;
		segments.assign(at<mayfly_segment>(wanted.segments),
				at<mayfly_segment>(wanted.segments) + wanted.nr_segments);
		return 0;
	}

	std::uint32_t ran(const mayfly_run &wanted)
	{
		if (agains-- > 0)
			return MAYFLY_RAN_AGAIN;
		return readies && wanted.flags & MAYFLY_RUN_UNTIL_READY ? MAYFLY_RAN_READY : outcome;
	}

	int snapshot(std::uint64_t id, mayfly_snapshot &wanted)
	{
		snapshot_flags = wanted.flags;
		if (snapshot_error != 0)
			return -snapshot_error;
		if (find(id)->state == MAYFLY_ENDED)
			return -ESRCH;

		mayfly_image_info row{};

		row.id = images.size() + 1;
		row.users = 2; // the VM and the descriptor
		row.memory_min = row.memory_default = find(id)->memory;
		std::memcpy(row.label, find(id)->image, sizeof row.label);
		images.push_back(row);
		wanted.fd = grant(image_fd + static_cast<int>(row.id));
		return wanted.name[0] == '\0'
			       ? 0
			       : name_image(images.back(), wanted.name, wanted.flags & MAYFLY_SNAPSHOT_REPLACE);
	}

	int spawn(mayfly_spawn &wanted)
	{
		spawns.push_back(wanted);
		for (std::uint32_t i = 0; i < wanted.nr_attachments; i++)
			places.push_back(*at<mayfly_attach_net>(at<mayfly_attachment>(wanted.attachments)[i].payload));
		spawn_arguments.emplace_back(at<const char>(wanted.args), wanted.args_length);
		for (std::uint32_t i = 0; i < wanted.count; i++) {
			if (vms.size() >= spawn_most)
				return -spawn_error;

			const std::string name(wanted.name);
			auto &row = add(wanted.flags & MAYFLY_SPAWN_NUMBERED
						? name + "-" + std::to_string(wanted.first + i)
						: name);

			if (wanted.ids != 0)
				at<__u64>(wanted.ids)[i] = row.id;
			wanted.created++;
			if (!(wanted.flags & MAYFLY_SPAWN_DETACHED))
				wanted.fd = grant(vm_fd + static_cast<int>(row.id));
		}
		return 0;
	}

	mayfly_image_info &image_of(int fd) { return images.at(static_cast<std::size_t>(fd - image_fd - 1)); }

	int open_image(mayfly_open &wanted)
	{
		for (const mayfly_image_info &row : images)
			if (wanted.id != 0 ? row.id == wanted.id : std::strcmp(row.name, wanted.name) == 0) {
				if (row.uid != 0)
					return -EPERM;
				wanted.fd = grant(image_fd + static_cast<int>(row.id));
				return 0;
			}
		return -ENOENT;
	}

	int tag(mayfly_image_info &row, const mayfly_tag &wanted)
	{
		tag_flags = wanted.flags;
		return name_image(row, wanted.name, wanted.flags);
	}

	int name_image(mayfly_image_info &row, const char *name, std::uint32_t flags)
	{
		static_assert(MAYFLY_TAG_REPLACE == MAYFLY_SNAPSHOT_REPLACE);
		for (mayfly_image_info &other : images)
			if (&other != &row && std::strcmp(other.name, name) == 0) {
				if (flags != MAYFLY_TAG_REPLACE)
					return -EEXIST;
				other.name[0] = '\0';
			}
		std::memcpy(row.name, name, sizeof row.name);
		return 0;
	}

	template <class Row> int list(mayfly_list &wanted, const std::vector<Row> &rows, std::size_t row_size)
	{
		const std::uint32_t room = std::min(wanted.count, list_most);

		if (list_error != 0)
			return -list_error;
		if (wanted.count == 0 || wanted.count > MAYFLY_MAX_BATCH || wanted.row_size != row_size)
			return -EINVAL;
		wanted.count = 0;
		wanted.next = 0;
		for (const Row &row : rows) {
			if (row.id < wanted.from)
				continue;
			if (wanted.count == room) {
				wanted.next = row.id;
				break;
			}
			std::memcpy(at<std::byte>(wanted.rows) + wanted.count++ * row_size, &row, row_size);
		}
		return 0;
	}

	int stat(std::uint64_t id, mayfly_row &wanted)
	{
		const mayfly_vm_info *row = find(id);

		// A descriptor keeps what was removed; no test removes so late.
		if (row == nullptr)
			return -EIO;

		mayfly_vm_info answer = *row;

		// The counters are behind what every list shows.
		std::memcpy(reinterpret_cast<std::byte *>(&answer) + MAYFLY_VM_INFO_GLANCE,
			    reinterpret_cast<const std::byte *>(&counters[id]) + MAYFLY_VM_INFO_GLANCE,
			    sizeof answer - MAYFLY_VM_INFO_GLANCE);
		return fill(wanted, answer);
	}

	int control(int fd, mayfly_control &wanted)
	{
		operations.push_back(wanted.op);
		ports.push_back(wanted.port);
		if (fd > vm_fd)
			return control_held(static_cast<std::uint64_t>(fd - vm_fd), wanted);
		if (wanted.count == 0 || wanted.count > MAYFLY_MAX_BATCH)
			return -EINVAL;
		for (std::uint32_t i = 0; i < wanted.count; i++) {
			at<__s32>(wanted.results)[i] = control_one(wanted.op, at<__u64>(wanted.ids)[i]);
			// Cut short after the first: the caller must come again.
			if (interruptions > 0) {
				interruptions--;
				return -EINTR;
			}
		}
		return 0;
	}

	// On a VM's own descriptor.
	int control_held(std::uint64_t id, const mayfly_control &wanted)
	{
		if (wanted.count != 0 || wanted.ids != 0 || wanted.results != 0)
			return -EINVAL;

		const int answer = control_one(wanted.op, id);

		if (interruptions > 0) {
			interruptions--;
			return -EINTR;
		}
		return answer;
	}

	int control_one(std::uint32_t op, std::uint64_t id)
	{
		mayfly_vm_info *row = find(id);

		if (row == nullptr)
			return -ENOENT;
		if (op == MAYFLY_OP_REMOVE) {
			if (remove_errors.contains(id))
				return -remove_errors[id];
			if (row->state != MAYFLY_ENDED)
				return -EBUSY;
			std::erase_if(vms, [&](const mayfly_vm_info &vm) { return vm.id == id; });
			return 0;
		}
		if (row->state == MAYFLY_ENDED)
			return -ESRCH;
		if (op == MAYFLY_OP_KILL)
			end(*row, MAYFLY_END_KILLED);
		if (op == MAYFLY_OP_NOTIFY && ends_when_notified && row->state != MAYFLY_PAUSED)
			end(*row, MAYFLY_END_EXITED);
		if (op == MAYFLY_OP_PAUSE && std::exchange(row->state, MAYFLY_PAUSED) == MAYFLY_PAUSED)
			return -EALREADY;
		if (op == MAYFLY_OP_RESUME && std::exchange(row->state, MAYFLY_PARKED) != MAYFLY_PAUSED)
			return -EALREADY;
		return 0;
	}

	std::uint64_t last_id_ = 0;
	std::set<std::uint64_t> told_;
};
