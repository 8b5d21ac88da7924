#include "cli/image_arguments.h"

#include <fmt/core.h>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {

Result<ImageArguments> ImageArguments::parse(std::span<const std::string_view> words,
                                             std::span<const Option> options) {
    ImageArguments arguments;
    bool names_only = false;
    for (size_t i = 0; i < words.size(); ++i) {
        std::string_view word = words[i];
        if (names_only || word.size() < 2 || word.front() != '-') {
            arguments.names_.emplace_back(word);
            continue;
        }
        if (word == "--") {
            names_only = true;
            continue;
        }
        std::optional<std::string_view> given;
        if (const size_t equals = word.find('='); word.starts_with("--") && equals != word.npos) {
            given = word.substr(equals + 1);
            word = word.substr(0, equals);
        }
        const Option* found = nullptr;
        std::vector<std::string_view> known;
        for (const Option& each : options) {
            if (word == each.name || (!each.synonym.empty() && word == each.synonym)) found = &each;
            known.push_back(each.name);
        }
        // "-32M" is how a disk is made smaller.
        if (found == nullptr && word.size() > 1 && word[1] >= '0' && word[1] <= '9') {
            arguments.names_.emplace_back(word);
            continue;
        }
        if (found == nullptr)
            return Error(fmt::format("{}: unknown option{}", word, did_you_mean(word, known)));
        if (!found->takes_value && given)
            return Error(fmt::format("{}: takes no value", word));
        if (found->takes_value && !given) {
            if (i + 1 == words.size()) return Error(fmt::format("{}: expected a value", word));
            given = words[++i];
        }
        arguments.values_.emplace(found->name, given.value_or(""));
    }
    return arguments;
}

std::optional<std::string> ImageArguments::value(std::string_view name) const {
    const auto found = values_.find(std::string(name));
    if (found == values_.end()) return std::nullopt;
    return found->second;
}

Result<std::vector<std::pair<std::string, std::string>>> ImageArguments::pairs(
    std::string_view name) const {
    std::vector<std::pair<std::string, std::string>> result;
    const auto [first, end] = values_.equal_range(std::string(name));
    for (auto each = first; each != end; ++each) {
        for (ValuePart& part : split_value(each->second)) {
            if (part.key.empty())
                return Error(fmt::format("{} {}: expected NAME=VALUE", name, part.value));
            result.emplace_back(std::move(part.key), std::move(part.value));
        }
    }
    return result;
}

}  // namespace mynah
