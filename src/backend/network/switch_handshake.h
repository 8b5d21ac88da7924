#pragma once

#include "backend/network/switch_greeting.h"
#include "base/result.h"

namespace mynah {

// The two texts that a port and its switch exchange before frames, each framed as those are. On a
// non-blocking socket, for at most a few seconds. Errors are clauses.

// For the port: says what it wants to be. Error: the switch says no, and why.
Result<void> greet_switch(int socket, const SwitchGreeting& greeting);
// For the switch: what a port says; and the answer, "" for yes.
Result<SwitchGreeting> receive_greeting(int socket);
Result<void> answer_greeting(int socket, const std::string& refusal);

}  // namespace mynah
