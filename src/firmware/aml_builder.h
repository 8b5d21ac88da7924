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

// Names are segments of one to four characters with dots between them, "\\" in front for the root
// or
// "^" for the scope above.
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, const Bytes& body);
Bytes device(std::string_view segment, const Bytes& body);
Bytes reference(std::string_view path);  // an object, or a method without arguments, as a value
Bytes buffer(std::span<const uint8_t> bytes);
Bytes uuid(std::string_view text);  // as ToUUID() makes it [ACPI 19.6.142]

// --- Methods [ACPI 20.2.5]. Targets are names, argument() or local().
Bytes method(std::string_view name, unsigned arguments, const Bytes& body);
Bytes argument(unsigned number);
Bytes local(unsigned number);
Bytes return_value(const Bytes& value);
Bytes store(const Bytes& value, const Bytes& target);
Bytes bit_and(const Bytes& a, const Bytes& b, const Bytes& target = {0});
Bytes bit_or(const Bytes& a, const Bytes& b, const Bytes& target = {0});
Bytes equal(const Bytes& a, const Bytes& b);
Bytes not_equal(const Bytes& a, const Bytes& b);
Bytes if_then(const Bytes& condition, const Bytes& body);
Bytes otherwise(const Bytes& body);  // behind if_then()
Bytes dword_field_of(const Bytes& buffer, unsigned offset, std::string_view name);

// --- Registers of hardware [ACPI 19.6.100, 19.6.48].
enum class Space : uint8_t { kMemory = 0, kIo = 1, kPciConfig = 2 };
Bytes region(std::string_view name, Space space, uint64_t offset, uint64_t length);
struct FieldUnit {
    std::string_view name;  // empty: a gap
    unsigned bits;
};
Bytes byte_fields(std::string_view region, std::span<const FieldUnit> units);

// --- Resource descriptors, for a template [ACPI 6.4].
// ----------------------------------------------
Bytes io_ports(uint16_t first, uint8_t count);
Bytes isa_irq(unsigned irq);  // edge-triggered, active high, exclusive
Bytes memory32_fixed(uint32_t address, uint32_t size);
enum class Sharing { kExclusive, kShared };
Bytes level_interrupt(uint32_t gsi, Sharing sharing);       // active high
Bytes level_interrupts(std::span<const uint32_t> choices);  // shared, active high
Bytes dma_channel(unsigned channel);                        // 8 bits
// Ranges that a bridge hands on: what lies below it may use them. `last` is inclusive.
Bytes bus_numbers(uint16_t first, uint16_t last);
Bytes io_window(uint16_t first, uint16_t last);
Bytes memory32_window(uint32_t first, uint32_t last);
Bytes memory64_window(uint64_t first, uint64_t last);  // prefetchable

// A buffer with these descriptors and the end tag.
Bytes resource_template(const Bytes& descriptors);

}  // namespace mynah::aml
