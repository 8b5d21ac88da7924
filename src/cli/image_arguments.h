#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mynah {

// The words behind `mynah image COMMAND`: options as qemu-img has them, and names.
class ImageArguments {
  public:
    struct Option {
        std::string_view name;     // "-f" or "--json"
        std::string_view synonym;  // may be empty
        bool takes_value;
    };
    // Error: one line that names the word and says what was expected.
    static Result<ImageArguments> parse(std::span<const std::string_view> words,
                                        std::span<const Option> options);

    bool has(std::string_view name) const { return values_.contains(std::string(name)); }
    std::optional<std::string> value(std::string_view name) const;
    std::string value_or(std::string_view name, std::string_view otherwise) const {
        return value(name).value_or(std::string(otherwise));
    }
    // All values of an option that may be repeated, as NAME=VALUE pairs split at commas.
    Result<std::vector<std::pair<std::string, std::string>>> pairs(std::string_view name) const;
    const std::vector<std::string>& names() const { return names_; }

  private:
    std::multimap<std::string, std::string> values_;
    std::vector<std::string> names_;
};

}  // namespace mynah
