#include "cli/boot_option.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {
namespace {

constexpr std::array<std::string_view, 5> kKeys{"kernel", "initrd", "kernel_args", "menu", "nvram"};
constexpr std::array<std::string_view, 4> kWords{"hd", "cdrom", "network", "uefi"};

Result<void> set_once(std::string& place, const ValuePart& part) {
    if (!place.empty()) return Error(fmt::format("{}= was given before", part.key));
    if (part.value.empty()) return Error(fmt::format("{}= needs a value", part.key));
    place = part.value;
    return {};
}

Result<void> apply_word(BootConfig& boot, const std::string& word) {
    using Device = BootConfig::Device;
    if (word == "uefi") {
        boot.uefi = true;
        return {};
    }
    constexpr std::array kDevices{Device::kDisk, Device::kCdrom, Device::kNetwork};
    for (size_t i = 0; i < kDevices.size(); ++i) {
        if (word != kWords[i]) continue;
        if (std::find(boot.order.begin(), boot.order.end(), kDevices[i]) != boot.order.end())
            return Error(fmt::format("{} was given before", word));
        boot.order.push_back(kDevices[i]);
        return {};
    }
    return Error(
        fmt::format("'{}'{}; expected hd, cdrom, network or uefi, menu=on, secure=on, "
                             "nvram=FILE, or "
                    "kernel=FILE[,initrd=FILE][,kernel_args=TEXT]",
                    word, did_you_mean(word, kWords)));
}

}  // namespace

Result<void> apply_boot_option(RunOptions& options, std::string_view value) {
    MachineConfig& machine = options.machine;
    bool in_arguments = false;
    for (const ValuePart& part : split_value(value)) {
        if (part.key.empty() && in_arguments) {
            machine.command_line += "," + part.value;
            continue;
        }
        in_arguments = false;
        if (part.key == "kernel") {
            TRY(set_once(machine.kernel, part));
        } else if (part.key == "initrd") {
            if (!machine.initrd) machine.initrd.emplace();
            TRY(set_once(*machine.initrd, part));
        } else if (part.key == "kernel_args") {
            TRY(set_once(machine.command_line, part));
            in_arguments = true;
        } else if (part.key == "menu") {
            machine.boot.menu = TRY(parse_switch(part.value));
        } else if (part.key == "secure") {
            machine.boot.secure = TRY(parse_switch(part.value));
            if (machine.boot.secure) machine.boot.uefi = true;
        } else if (part.key == "nvram") {
            TRY(set_once(machine.boot.nvram, part));
        } else if (part.key.empty()) {
            TRY(apply_word(machine.boot, part.value));
        } else {
            return Error(fmt::format(
                "unknown part '{}='{}; expected kernel=, initrd=, kernel_args=, menu= or "
                "nvram= (a comma within a value is written twice)",
                part.key, did_you_mean(part.key, kKeys)));
        }
    }
    return {};
}

}  // namespace mynah
