#pragma once

#include <string>
#include <string_view>

#include "backend/network/switch_table.h"
#include "base/result.h"

namespace mynah {

// How a port introduces itself to a switch: one framed text before the frames, and one back, which
// is empty if the port is taken and else says why not. "mynah-switch 1;name=vm1-0;vlan=10;group=web".
struct SwitchGreeting {
    static constexpr size_t kMaxSize = 1024;  // bytes of either text
    static constexpr size_t kMaxName = 64;

    std::string name;   // for people
    std::string group;  // whose rules it wants; empty: its own
    SwitchPortRules rules;

    std::string text() const;
    // Error: a clause that says what is wrong with it.
    static Result<SwitchGreeting> parse(std::string_view text);
};

// The rules as options have them; each error is a clause that says what was expected.
Result<uint16_t> parse_vlan(std::string_view text);                       // 1 to 4094
Result<void> parse_trunk(std::string_view text, SwitchPortRules& rules);  // "all", or "1+5-9+40"
Result<uint64_t> parse_rate(std::string_view text);  // bytes a second from bits: 100M, 1G, 56k

}  // namespace mynah
