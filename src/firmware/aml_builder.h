#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace mynah::aml {

// ACPI Machine Language put together from pieces [ACPI 20.2]. Each function returns the encoding of
// one term; terms are concatenated. Only the terms our tables need are here.
using Bytes = std::vector<uint8_t>;

Bytes concat(std::initializer_list<Bytes> terms);

Bytes integer(uint64_t value);                   // the shortest encoding
Bytes string(std::string_view text);             // ASCII
Bytes eisa_id(std::string_view id);              // "PNP0501" as an integer [ACPI 19.3.4]
Bytes package(std::span<const Bytes> elements);  // at most 255

// Names are one segment of one to four characters, or "\\_SB" and the like with a leading root.
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, const Bytes& body);
Bytes device(std::string_view segment, const Bytes& body);

// --- Resource descriptors, for a template [ACPI 6.4].
// ----------------------------------------------
Bytes io_ports(uint16_t first, uint8_t count);
Bytes isa_irq(unsigned irq);  // edge-triggered, active high, exclusive
Bytes memory32_fixed(uint32_t address, uint32_t size);
enum class Sharing { kExclusive, kShared };
Bytes level_interrupt(uint32_t gsi, Sharing sharing);  // active high

// A buffer with these descriptors and the end tag.
Bytes resource_template(const Bytes& descriptors);

}  // namespace mynah::aml
