#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/doctor_command.h"
#include "cli/exit_status.h"
#include "cli/image_command.h"
#include "cli/machine_commands.h"
#include "cli/nearest_name.h"
#include "cli/run_command.h"
#include "cli/run_options.h"
#include "cli/serve_command.h"
#include "cli/switch_command.h"
#include "cli/version.h"

namespace {

using Words = std::span<const std::string_view>;

int help_command(Words words);
int version_command(Words words);

struct Command {
    std::string_view name;
    int (*run)(Words words);  // gives the exit status
    std::string_view arguments, summary;
};

constexpr std::array kCommands{
    Command{"run", mynah::run_command, "--kernel FILE [options]",
            "start a machine in the foreground"},
    Command{"image", mynah::image_command, "COMMAND ...", "make, look at, change disk images"},
    Command{"list", mynah::list_command, "", "running machines that have a name"},
    Command{"screenshot", mynah::screenshot_command, "NAME FILE",
            "the screen of a running machine, as a PNG"},
    Command{"attach", mynah::attach_command, "NAME ID --disk VALUE",
            "a disk for a running machine; or --network VALUE"},
    Command{"detach", mynah::detach_command, "NAME ID", "take it out again"},
    Command{"insert", mynah::insert_command, "NAME FILE [DRIVE]", "put a CD into its drive"},
    Command{"eject", mynah::eject_command, "NAME [DRIVE]", "take the CD out (--force: ask nobody)"},
    Command{"engine", mynah::engine_command, "NAME [kvm|jit|interpreter|--verbose]",
            "what a running machine runs on; or exchange it"},
    Command{"stop", mynah::stop_command, "NAME", "press its power button"},
    Command{"reset", mynah::reset_command, "NAME", "press its reset button"},
    Command{"destroy", mynah::destroy_command, "NAME", "end it at once, as if the power failed"},
    Command{"doctor", mynah::doctor_command, "[NAME] [--json]",
            "what works on this host; or what is wrong with a machine"},
    Command{"serve", mynah::serve_command, "blk|net|fs --socket PATH ...",
            "a device for other machines, over vhost-user"},
    Command{"switch", mynah::switch_command, "NAME [options]",
            "a virtual switch that machines plug into"},
    Command{"help", help_command, "[run]", "this text, or all options of run"},
    Command{"version", version_command, "", ""},
};
// Planned; see the README.
constexpr std::array<std::string_view, 6> kPlanned{"create", "start", "console", "define",
                                                   "info", "migrate"};

std::string usage() {
    std::string text;
    for (const Command& command : kCommands) {
        text += fmt::format("{} mynah {:<36}{}\n", text.empty() ? "usage:" : "      ",
                            fmt::format("{} {}", command.name, command.arguments),
                            command.summary);
    }
    return text;
}

int help_command(Words words) {
    const bool of_run = !words.empty() && words.front() == "run";
    std::fputs(of_run ? mynah::run_help().c_str() : usage().c_str(), stdout);
    return mynah::kExitOk;
}

int version_command(Words) {
    std::puts(mynah::kVersionLine);
    return mynah::kExitOk;
}

int unknown_command(std::string_view word) {
    std::vector<std::string_view> names;
    for (const Command& command : kCommands) names.push_back(command.name);
    const std::string expected = fmt::format("expected one of {}", fmt::join(names, ", "));
    if (std::ranges::find(kPlanned, word) != kPlanned.end()) {
        fmt::print(stderr, "mynah {}: this version does not have it; {}\n", word, expected);
    } else {
        fmt::print(stderr, "mynah: '{}': unknown command{}; {}\n", word,
                   mynah::did_you_mean(word, names), expected);
    }
    return mynah::kExitError;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.empty()) {
        std::fputs(usage().c_str(), stderr);
        return mynah::kExitError;
    }
    std::string_view name = words.front();
    if (name == "--help" || name == "-h") name = "help";
    if (name == "--version") name = "version";
    const auto command = std::ranges::find(kCommands, name, &Command::name);
    if (command == kCommands.end()) return unknown_command(name);
    return command->run(std::span(words).subspan(1));
}
