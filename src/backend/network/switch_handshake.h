#pragma once

#include <chrono>
#include <string>

#include "backend/network/switch_greeting.h"
#include "base/result.h"

namespace mynah {

// The two texts that a port and its switch exchange before frames, each framed as those are. On a
// non-blocking socket. Errors are clauses.

// How long all of it may take, from now; it also ends when `stop`, a descriptor, can be read.
class GreetingLimit {
  public:
    explicit GreetingLimit(std::chrono::milliseconds patience, int stop = -1)
        : until_(std::chrono::steady_clock::now() + patience), stop_(stop) {}
    Result<void> wait_for(int socket, short events) const;

  private:
    const std::chrono::steady_clock::time_point until_;
    const int stop_;
};

// For the port: says what it wants to be; takes a few seconds at most. Error: the switch says no,
// and why.
Result<void> greet_switch(int socket, const SwitchGreeting& greeting);
// For the switch: what a port says; and the answer, "" for yes.
Result<SwitchGreeting> receive_greeting(int socket, const GreetingLimit& limit);
Result<void> answer_greeting(int socket, const std::string& refusal,
                             const GreetingLimit& limit);

}  // namespace mynah
