#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/doctor/machine_report.h"

namespace mynah {

// What a guest's kernel and its programs write when something is wrong, and what our own log says.
// The guest may write anything: all that comes of it is text, printable.
std::vector<Diagnosis> signs_on_serial(std::string_view serial);
std::vector<Diagnosis> signs_in_log(std::string_view log);

// One line of it, without control characters.
std::string printable(std::string_view text);
// The last lines, without control characters; each ended by a newline.
std::string last_lines(std::string_view text, size_t most);

}  // namespace mynah
