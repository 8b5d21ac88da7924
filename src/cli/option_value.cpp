#include "cli/option_value.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace mynah {

std::vector<ValuePart> split_value(std::string_view text) {
    std::vector<ValuePart> parts;
    std::string part;
    const auto finish = [&] {
        const size_t equals = part.find('=');
        if (equals == std::string::npos) {
            parts.push_back({"", part});
        } else {
            parts.push_back({part.substr(0, equals), part.substr(equals + 1)});
        }
        part.clear();
    };
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',') {
            part += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            part += ',';
            ++i;
        } else {
            finish();
        }
    }
    finish();
    return parts;
}

Result<uint64_t> parse_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) return Error("is too large");
    if (error != std::errc() || end != text.data() + text.size())
        return Error("expected a whole number");
    return value;
}

Result<uint64_t> parse_memory_size(std::string_view text) {
    constexpr std::string_view kSuffixes = "KMGT";
    constexpr unsigned kDefaultShift = 20;
    unsigned shift = kDefaultShift;
    std::string_view digits = text;
    if (digits.ends_with("iB")) {
        digits.remove_suffix(2);
    } else if (digits.ends_with('B')) {
        digits.remove_suffix(1);
    }
    const bool unit_given = digits.size() != text.size();
    const size_t letter = digits.empty()
                              ? std::string_view::npos
                              : kSuffixes.find(static_cast<char>(std::toupper(digits.back())));
    if (letter != std::string_view::npos) {
        shift = 10 * (static_cast<unsigned>(letter) + 1);
        digits.remove_suffix(1);
    } else if (unit_given) {
        return Error("expected MiB, or a number with suffix K, M, G or T");
    }
    const auto number = parse_number(digits);
    if (!number) return Error("expected MiB, or a number with suffix K, M, G or T");
    if (number.value() > (~uint64_t{0} >> shift)) return Error("is too large");
    return number.value() << shift;
}

Result<uint64_t> parse_address(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    const std::string_view digits = hexadecimal ? text.substr(2) : text;
    uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
    if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) {
        return Error("expected an address such as 0xffffffff81000000");
    }
    return value;
}

Result<double> parse_seconds(std::string_view text) {
    const std::string copy(text);
    char* end = nullptr;
    const double value = std::strtod(copy.c_str(), &end);
    constexpr double kLongest = 1e9;
    if (copy.empty() || *end != '\0' || !std::isfinite(value) || value <= 0 || value > kLongest) {
        return Error("expected seconds above 0, such as 30 or 2.5");
    }
    return value;
}

Result<bool> parse_switch(std::string_view text) {
    if (text == "on" || text == "yes" || text == "true") return true;
    if (text == "off" || text == "no" || text == "false") return false;
    return Error("expected on or off");
}

}  // namespace mynah
