#include "cli/run_options.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <vector>

#include "cli/nearest_name.h"
#include "cli/option_table.h"
#include "cli/serial_option.h"

namespace mynah {
namespace {

const Option* find_option(std::string_view name) {
    for (const Option& option : run_option_table()) {
        if (name == option.name || (!option.synonym.empty() && name == option.synonym))
            return &option;
    }
    return nullptr;
}

Error unknown_option(std::string_view name) {
    for (const MissingOption& missing : missing_option_table()) {
        if (name != missing.name) continue;
        return Error(fmt::format("{}: this version does not have it{}{}", name,
                                 missing.instead.empty() ? "" : "; ", missing.instead));
    }
    std::vector<std::string_view> names;
    for (const Option& option : run_option_table()) {
        names.push_back(option.name);
        if (!option.synonym.empty()) names.push_back(option.synonym);
    }
    return Error(fmt::format("{}: unknown option{}", name, did_you_mean(name, names)));
}

// The option that `word` begins, and the value behind '=' in it if there is one.
struct Found {
    const Option* option;
    std::string_view as_typed;
    std::optional<std::string_view> value;
};

Result<Found> look_up(std::string_view word) {
    if (!word.starts_with('-') || word == "-" || word == "--") {
        return Error(fmt::format(
            "'{}': unexpected; options begin with --, and a kernel is named by --kernel", word));
    }
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const Option* option = find_option(name);
    if (option == nullptr) return unknown_option(name);
    if (equals == std::string_view::npos) return Found{option, name, std::nullopt};
    if (option->value.empty()) return Error(fmt::format("{}: takes no value", name));
    return Found{option, name, word.substr(equals + 1)};
}

// The option that asks for what only a PC has; empty: none does.
std::string_view only_on_pc(const RunOptions& options) {
    const MachineConfig& machine = options.machine;
    for (const DiskConfig& disk : machine.disks) {
        if (disk.bus == DiskBus::kScsi) continue;
        if (disk.cdrom) return "--cdrom";
        if (disk.bus != DiskBus::kDefault && disk.bus != DiskBus::kVirtio) return "--disk: bus";
    }
    if (options.usb_given) return "--controller";
    if (machine.devices.watchdog) return "--watchdog";
    if (machine.devices.iommu) return "--iommu";
    const VideoConfig& video = machine.devices.video;
    if (video.vga.value_or(false)) return "--video: vga=on";
    if (video.model == VideoConfig::Model::kVga) return "--video vga";
    if (video.model == VideoConfig::Model::kVirtio) return "";
    // A screen without an adapter that the micro board could have.
    if (!machine.devices.inputs.empty()) return "--input";
    return machine.graphics.vnc ? "--graphics" : "";
}

// Nothing can be behind an IOMMU that is not there.
Result<void> check_iommu(const MachineConfig& machine) {
    if (machine.devices.iommu) return {};
    const auto wants = [](const auto& each) { return each.virtio.iommu.value_or(false); };
    constexpr std::string_view kNone = "iommu=on: the machine has none; expected --iommu virtio";
    if (std::ranges::any_of(machine.disks, wants)) return Error(fmt::format("--disk: {}", kNone));
    if (std::ranges::any_of(machine.networks, wants))
        return Error(fmt::format("--network: {}", kNone));
    return {};
}

// A kernel alone runs on the micro board; what needs firmware, or something to boot from, on a PC.
Result<void> choose_board(RunOptions& options) {
    using BoardKind = MachineConfig::BoardKind;
    MachineConfig& machine = options.machine;
    const BootConfig& boot = machine.boot;
    const bool wants_firmware = !machine.firmware.empty() || boot.wants_firmware();
    bool bootable = wants_firmware || !machine.disks.empty();
    for (const VhostUserConfig& device : machine.vhost_devices)
        bootable |= device.kind == VhostUserConfig::Kind::kDisk ||
                    device.kind == VhostUserConfig::Kind::kVdpa;  // which may be one
    const std::string_view hardware = only_on_pc(options);
    const bool pc = !hardware.empty() || (machine.kernel.empty() ? bootable : wants_firmware);
    machine.board = options.board.value_or(pc ? BoardKind::kPc : BoardKind::kMicro);
    if (machine.board == BoardKind::kPc) return {};
    if (!machine.firmware.empty())
        return Error("--firmware: the micro board has none; expected --machine pc");
    if (boot.wants_firmware())
        return Error("--boot: the micro board boots only a kernel; expected --machine pc");
    if (!hardware.empty())
        return Error(
            fmt::format("{}: the micro board has only virtio devices and no PCI; "
                        "expected --machine pc",
                        hardware));
    if (machine.kernel.empty()) {
        return Error(
            "--kernel: missing; expected --kernel FILE, a Linux bzImage or vmlinux to boot");
    }
    return {};
}

// Its name, if it has one; else the disk it begins with; else nothing that comes again.
std::string identity_of(const RunOptions& options) {
    if (options.named) return options.machine.name;
    for (const DiskConfig& disk : options.machine.disks) {
        // Others may begin with these, too.
        if (disk.cdrom || disk.read_only || disk.snapshot || disk.path.empty()) continue;
        std::error_code error;
        const auto path = std::filesystem::weakly_canonical(disk.path, error);
        return error ? disk.path : path.string();
    }
    return fmt::format("process {}", getpid());
}

}  // namespace

Result<RunOptions> parse_run_options(std::span<const std::string_view> words) {
    RunOptions options;
    std::set<const Option*> seen;
    for (size_t i = 0; i < words.size(); ++i) {
        Found found = TRY(look_up(words[i]));
        const Option& option = *found.option;
        if (!option.value.empty() && !found.value) {
            if (i + 1 == words.size()) {
                return Error(fmt::format("{}: its value is missing; expected {}", found.as_typed,
                                         option.value));
            }
            found.value = words[++i];
        }
        if (!seen.insert(&option).second && !option.repeatable && !option.value.empty()) {
            return Error(fmt::format("{}: was given twice", found.as_typed));
        }
        const auto applied = option.apply(options, found.value.value_or(""));
        if (!applied) {
            return Error(
                fmt::format("{} {}: {}", found.as_typed, *found.value, applied.error().message()));
        }
    }
    if (options.help || options.version) return options;
    TRY(finish_serial_options(options));
    TRY(choose_board(options));
    TRY(check_iommu(options.machine));
    options.machine.identity = identity_of(options);
    return options;
}

std::string run_help() {
    std::string out =
        "usage: mynah run --kernel FILE [options]\n       mynah run --disk path=FILE [options]\n\n";
    for (const Option& option : run_option_table()) {
        std::string left = fmt::format("  {}", option.name);
        if (!option.synonym.empty()) left += fmt::format(", {}", option.synonym);
        if (!option.value.empty()) left += fmt::format(" {}", option.value);
        out += fmt::format("{}\n        {}\n", left, option.help);
    }
    out +=
        "\nIn a terminal: Ctrl-A X quits, Ctrl-A H shows all keys.\n"
        "Exit status: 0 the guest powered off or the operator quit; 1 usage or host error; 2 the "
        "guest\n"
        "crashed; 3 a limit was reached; 4 the engine that was named cannot be used here.\n";
    return out;
}

}  // namespace mynah
