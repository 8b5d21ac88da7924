#pragma once

#include <span>
#include <string_view>

namespace mynah {

// mynah doctor [NAME] [--json]: the host, or a machine, running or dead. The words behind it; gives the exit status.
int doctor_command(std::span<const std::string_view> words);

}  // namespace mynah
