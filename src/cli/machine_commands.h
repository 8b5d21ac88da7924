#pragma once

#include <span>
#include <string_view>

namespace mynah {

// Commands about machines that run in other processes, by their names. Each returns the exit
// status.

// `mynah list`: name, process and state of each.
int list_command(std::span<const std::string_view> words);

// `mynah attach NAME ID --disk VALUE` or `--network VALUE`
int attach_command(std::span<const std::string_view> words);
// `mynah detach NAME ID`: returns when the guest has let it go.
int detach_command(std::span<const std::string_view> words);

// `mynah screenshot NAME FILE`
int screenshot_command(std::span<const std::string_view> words);

// `mynah engine NAME [ENGINE]`: what it runs on, or is to run on from here on
int engine_command(std::span<const std::string_view> words);

// `mynah eject NAME [DRIVE] [--force]`, `mynah insert NAME FILE [DRIVE] [--force]`
int eject_command(std::span<const std::string_view> words);
int insert_command(std::span<const std::string_view> words);

// `mynah stop NAME`: the power button. `mynah reset NAME`. `mynah destroy NAME`: at once.
int stop_command(std::span<const std::string_view> words);
int reset_command(std::span<const std::string_view> words);
int destroy_command(std::span<const std::string_view> words);

}  // namespace mynah
