#include "backend/network/switch_greeting.h"

#include <fmt/core.h>

#include <charconv>
#include <optional>

namespace mynah {

namespace {

constexpr std::string_view kHello = "mynah-switch 1";

std::optional<uint64_t> number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Calls `take` with each part of "a;b;c".
template <typename Take>
Result<void> for_each_part(std::string_view text, char separator, Take&& take) {
    for (;;) {
        const size_t end = text.find(separator);
        TRY(take(text.substr(0, end)));
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
}

Result<void> apply_part(SwitchGreeting& greeting, std::string_view part) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return Error("a part without a value");
    const std::string_view key = part.substr(0, equals), value = part.substr(equals + 1);
    if (key == "name" || key == "group") {
        if (value.size() > SwitchGreeting::kMaxName) return Error("a name that is too long");
        (key == "name" ? greeting.name : greeting.group) = value;
    } else if (key == "vlan") {
        greeting.rules.vlan = TRY(parse_vlan(value));
    } else if (key == "trunk") {
        TRY(parse_trunk(value, greeting.rules));
    } else if (key == "mirror") {
        if (value != "on") return Error("expected mirror=on");
        greeting.rules.mirror = true;
    } else if (key == "rate") {
        const auto rate = number(value);
        if (!rate) return Error("a rate that is no number");
        greeting.rules.bytes_per_second = *rate;
    } else {
        return Error("a part that this version does not know");
    }
    return {};
}

}  // namespace

Result<uint16_t> parse_vlan(std::string_view text) {
    const auto value = number(text);
    if (!value || *value == 0 || *value > SwitchPortRules::kMaxVlan)
        return Error(fmt::format("expected 1 to {}", SwitchPortRules::kMaxVlan));
    return static_cast<uint16_t>(*value);
}

Result<void> parse_trunk(std::string_view text, SwitchPortRules& rules) {
    rules.trunk = true;
    if (text == "all") {
        rules.allowed.set();
        return {};
    }
    return for_each_part(text, '+', [&](std::string_view part) -> Result<void> {
        const size_t dash = part.find('-');
        const auto first = parse_vlan(part.substr(0, dash));
        const auto last =
            dash == std::string_view::npos ? first : parse_vlan(part.substr(dash + 1));
        if (!first || !last || first.value() > last.value())
            return Error("expected all, or VLANs from 1 to 4094 such as 10+20-29");
        for (unsigned vlan = first.value(); vlan <= last.value(); ++vlan) rules.allowed.set(vlan);
        return {};
    });
}

Result<uint64_t> parse_rate(std::string_view text) {
    uint64_t unit = 1;
    if (!text.empty()) {
        const char suffix = text.back();
        unit = suffix == 'k' || suffix == 'K' ? 1000
               : suffix == 'M'                ? 1000 * 1000
               : suffix == 'G'                ? 1000 * 1000 * 1000
                                              : 1;
        if (unit != 1) text.remove_suffix(1);
    }
    constexpr uint64_t kLeast = 8000, kMost = 1000ull * 1000 * 1000 * 1000, kBits = 8;
    const auto value = number(text);
    if (!value || *value > kMost / unit || *value * unit < kLeast)
        return Error("expected bits a second from 8k to 1000G, such as 100M");
    return *value * unit / kBits;
}

std::string SwitchGreeting::text() const {
    std::string text(kHello);
    if (!name.empty()) text += fmt::format(";name={}", name);
    if (!group.empty()) text += fmt::format(";group={}", group);
    if (rules.vlan != 0) text += fmt::format(";vlan={}", rules.vlan);
    if (rules.mirror) text += ";mirror=on";
    if (rules.bytes_per_second != 0) text += fmt::format(";rate={}", rules.bytes_per_second);
    if (!rules.trunk) return text;
    std::string vlans;
    for (unsigned vlan = 1; vlan <= SwitchPortRules::kMaxVlan;) {
        unsigned end = vlan;
        while (end <= SwitchPortRules::kMaxVlan && rules.allowed[end]) ++end;
        if (end > vlan) {
            vlans += fmt::format("{}{}", vlans.empty() ? "" : "+", vlan);
            if (end > vlan + 1) vlans += fmt::format("-{}", end - 1);
        }
        vlan = end + 1;
    }
    return text + ";trunk=" + vlans;
}

Result<SwitchGreeting> SwitchGreeting::parse(std::string_view text) {
    SwitchGreeting greeting;
    if (!text.starts_with(kHello)) return Error("no port of a mynah switch of this version");
    text.remove_prefix(kHello.size());
    if (text.empty()) return greeting;
    if (text.front() != ';') return Error("no port of a mynah switch of this version");
    text.remove_prefix(1);
    TRY(for_each_part(text, ';',
                      [&](std::string_view part) { return apply_part(greeting, part); }));
    return greeting;
}

}  // namespace mynah
