#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

#include "cli/exit_status.h"
#include "cli/image_command.h"
#include "cli/machine_commands.h"
#include "cli/nearest_name.h"
#include "cli/run_command.h"
#include "cli/run_options.h"
#include "cli/version.h"

namespace {

constexpr std::array<std::string_view, 6> kCommands{"run", "image", "list", "screenshot", "help", "version"};
// Planned; see the README.
constexpr std::array<std::string_view, 9> kPlanned{
    "create", "start", "stop", "console", "destroy", "define", "doctor", "info", "migrate"};

constexpr const char* kUsage =
    "usage: mynah run --kernel FILE [options]   start a machine in the foreground\n"
    "       mynah image COMMAND ...             make, look at, change disk images\n"
    "       mynah list                          running machines that have a name\n"
    "       mynah screenshot NAME FILE          the screen of a running machine, as a PNG\n"
    "       mynah help [run]                    this text, or all options of run\n"
    "       mynah version\n";

int unknown_command(std::string_view word) {
    for (const std::string_view planned : kPlanned) {
        if (word != planned) continue;
        fmt::print(stderr,
                   "mynah {}: this version does not have it; expected run, image, list, screenshot, help or version\n",
                   word);
        return mynah::kExitError;
    }
    fmt::print(stderr, "mynah: '{}': unknown command{}; expected run, image, list, screenshot, help or version\n", word,
               mynah::did_you_mean(word, kCommands));
    return mynah::kExitError;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.empty()) {
        std::fputs(kUsage, stderr);
        return mynah::kExitError;
    }
    const std::string_view command = words.front();
    const std::span rest = std::span(words).subspan(1);
    if (command == "run") return mynah::run_command(rest);
    if (command == "image") return mynah::image_command(rest);
    if (command == "list") return mynah::list_command(rest);
    if (command == "screenshot") return mynah::screenshot_command(rest);
    if (command == "help" || command == "--help" || command == "-h") {
        const bool of_run = !rest.empty() && rest.front() == "run";
        std::fputs(of_run ? mynah::run_help().c_str() : kUsage, stdout);
        return mynah::kExitOk;
    }
    if (command == "version" || command == "--version") {
        std::puts(mynah::kVersionLine);
        return mynah::kExitOk;
    }
    return unknown_command(command);
}
