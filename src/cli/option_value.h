#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mynah {

// One part of an option's value that has several.
struct ValuePart {
    std::string key;  // empty: the part has no '='
    std::string value;
};

// "path=disk.img,readonly=on" as its parts; at least one. A comma within a part is written twice.
std::vector<ValuePart> split_value(std::string_view text);

// Numbers and switches as options take them. Each error is a clause: "expected a whole number".
Result<uint64_t> parse_number(std::string_view text);
// Bytes: MiB, or with a suffix K, M, G, T (a B or iB behind it is allowed).
Result<uint64_t> parse_memory_size(std::string_view text);
// A guest address: 0x and hexadecimal digits, or decimal ones.
Result<uint64_t> parse_address(std::string_view text);
Result<double> parse_seconds(std::string_view text);
// on, off, yes, no, true, false.
Result<bool> parse_switch(std::string_view text);

}  // namespace mynah
