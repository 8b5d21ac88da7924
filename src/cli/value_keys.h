#pragma once

#include <fmt/core.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {

// A part "key=value" of an option's value, and what takes it. The error is a clause.
struct ValueKey {
    std::string_view key;
    std::function<Result<void>(const std::string& value)> apply;
};

// Hands each part to its key. Error: "key=value: clause", or an unknown part with the nearest known
// one and all there are.
inline Result<void> apply_value_keys(std::span<const ValuePart> parts,
                                     std::span<const ValueKey> keys) {
    for (const ValuePart& part : parts) {
        const ValueKey* found = nullptr;
        for (const ValueKey& key : keys) {
            if (!part.key.empty() && key.key == part.key) found = &key;
        }
        if (found == nullptr) {
            std::vector<std::string_view> names;
            std::string expected;
            for (const ValueKey& key : keys) {
                names.push_back(key.key);
                expected += fmt::format("{}{}=", expected.empty() ? "" : ", ", key.key);
            }
            const std::string& word = part.key.empty() ? part.value : part.key;
            return Error(fmt::format("unknown part '{}'{}; expected {}", word,
                                     did_you_mean(word, names),
                                     expected.empty() ? "nothing more" : expected));
        }
        const auto applied = found->apply(part.value);
        if (!applied)
            return Error(fmt::format("{}={}: {}", part.key, part.value, applied.error().message()));
    }
    return {};
}

// A key whose value is a path.
inline ValueKey path_key(std::string_view key, std::string& place) {
    return {key, [&place](const std::string& value) -> Result<void> {
                if (value.empty()) return Error("expected a path");
                place = value;
                return {};
            }};
}

// A key that is on or off.
inline ValueKey switch_key(std::string_view key, bool& place) {
    return {key, [&place](const std::string& value) -> Result<void> {
                place = TRY(parse_switch(value));
                return {};
            }};
}

// A key with one possible value, which says nothing new.
inline ValueKey only_key(std::string_view key, std::string_view only) {
    return {key, [only](const std::string& value) -> Result<void> {
                if (value == only) return {};
                return Error(fmt::format("expected {}", only));
            }};
}

}  // namespace mynah
