#include "cli/boot_option.h"

#include <fmt/core.h>

#include <array>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {
namespace {

constexpr std::array<std::string_view, 3> kKeys{"kernel", "initrd", "kernel_args"};

Result<void> set_once(std::string& place, const ValuePart& part) {
    if (!place.empty()) return Error(fmt::format("{}= was given before", part.key));
    if (part.value.empty()) return Error(fmt::format("{}= needs a value", part.key));
    place = part.value;
    return {};
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
        } else if (part.key.empty()) {
            return Error(fmt::format(
                "'{}': this version boots only kernel=FILE[,initrd=FILE][,kernel_args=TEXT]",
                part.value));
        } else {
            return Error(
                fmt::format("unknown part '{}='{}; expected kernel=, initrd= or kernel_args= (a "
                            "comma within a value is written twice)",
                            part.key, did_you_mean(part.key, kKeys)));
        }
    }
    return {};
}

}  // namespace mynah
