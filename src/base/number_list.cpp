#include "base/number_list.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace mynah {
namespace {

std::optional<uint32_t> parse_one(std::string_view text, uint32_t limit) {
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number >= limit)
        return std::nullopt;
    return number;
}

}  // namespace

std::optional<std::vector<uint32_t>> parse_number_list(std::string_view text, char between,
                                                       uint32_t limit, std::string_view* wrong) {
    std::vector<uint32_t> numbers;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(between, at), text.size());
        const std::string_view range = text.substr(at, end - at);
        const size_t dash = range.find('-');
        const auto first = parse_one(range.substr(0, dash), limit);
        const auto last = dash == range.npos ? first : parse_one(range.substr(dash + 1), limit);
        if (!first || !last || *last < *first) {
            if (wrong != nullptr) *wrong = range;
            return std::nullopt;
        }
        for (uint32_t number = *first; number <= *last; ++number) numbers.push_back(number);
        at = end + 1;
    }
    std::ranges::sort(numbers);
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
}

std::string format_number_list(const std::vector<uint32_t>& numbers) {
    std::string text;
    for (size_t i = 0; i < numbers.size();) {
        size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        if (!text.empty()) text += ',';
        text += last == i ? fmt::format("{}", numbers[i])
                          : fmt::format("{}-{}", numbers[i], numbers[last]);
        i = last + 1;
    }
    return text;
}

}  // namespace mynah
