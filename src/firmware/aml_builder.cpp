#include "firmware/aml_builder.h"

#include <algorithm>

#include "base/check.h"

namespace mynah::aml {
namespace {

enum Opcode : uint8_t {  // [ACPI 20.3]
    kZeroOp = 0x00,
    kOneOp = 0x01,
    kNameOp = 0x08,
    kBytePrefix = 0x0a,
    kWordPrefix = 0x0b,
    kDWordPrefix = 0x0c,
    kStringPrefix = 0x0d,
    kQWordPrefix = 0x0e,
    kScopeOp = 0x10,
    kBufferOp = 0x11,
    kPackageOp = 0x12,
    kMethodOp = 0x14,
    kDualNamePrefix = 0x2e,
    kMultiNamePrefix = 0x2f,
    kExtOpPrefix = 0x5b,
    kLocal0Op = 0x60,
    kArg0Op = 0x68,
    kStoreOp = 0x70,
    kAndOp = 0x7b,
    kOrOp = 0x7d,
    kCreateDWordFieldOp = 0x8a,
    kLNotOp = 0x92,
    kLEqualOp = 0x93,
    kIfOp = 0xa0,
    kElseOp = 0xa1,
    kReturnOp = 0xa4,
    // Behind kExtOpPrefix.
    kOpRegionOp = 0x80,
    kFieldOp = 0x81,
    kDeviceOp = 0x82,
};
constexpr size_t kSegmentLength = 4;

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

template <typename T>
void append_little_endian(Bytes& to, T value) {
    for (unsigned i = 0; i < sizeof(T); ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// PkgLength counts itself as well [ACPI 20.2.4]: 6 bits in one byte, or 4 bits there and 8 in each
// of up to three more.
Bytes package_length(size_t content) {
    if (content + 1 < 64) return {static_cast<uint8_t>(content + 1)};
    for (unsigned extra = 1; extra <= 3; ++extra) {
        size_t total = content + 1 + extra;
        if (total >= size_t{1} << (4 + 8 * extra)) continue;
        Bytes out{static_cast<uint8_t>((extra << 6) | (total & 0xf))};
        total >>= 4;
        for (unsigned i = 0; i < extra; ++i, total >>= 8)
            out.push_back(static_cast<uint8_t>(total));
        return out;
    }
    CHECK(!"an AML package is below 256 MiB");
    return {};
}

Bytes sized(Bytes opcode, const Bytes& content) {
    append(opcode, package_length(content.size()));
    append(opcode, content);
    return opcode;
}

// [ACPI 20.2.2]
Bytes name_string(std::string_view path) {
    Bytes out;
    while (path.starts_with('\\') || path.starts_with('^')) {
        out.push_back(static_cast<uint8_t>(path.front()));
        path.remove_prefix(1);
    }
    Bytes segments;
    unsigned count = 0;
    while (!path.empty()) {
        const std::string_view segment = path.substr(0, path.find('.'));
        CHECK(!segment.empty() && segment.size() <= kSegmentLength);
        segments.insert(segments.end(), segment.begin(), segment.end());
        segments.insert(segments.end(), kSegmentLength - segment.size(), '_');
        path.remove_prefix(std::min(path.size(), segment.size() + 1));
        ++count;
    }
    CHECK(count > 0);
    if (count == 2) out.push_back(kDualNamePrefix);
    if (count > 2) append(out, {kMultiNamePrefix, static_cast<uint8_t>(count)});
    append(out, segments);
    return out;
}

// The address space descriptors [ACPI 6.4.3.5]: one layout in three widths.
template <typename T>
Bytes address_space(uint8_t tag, uint8_t type, uint8_t type_flags, T first, T last) {
    constexpr uint8_t kMinFixed = 1u << 2, kMaxFixed = 1u << 3;
    Bytes out{tag};
    append_little_endian(out, static_cast<uint16_t>(3 + 5 * sizeof(T)));
    append(out, {type, kMinFixed | kMaxFixed, type_flags});
    append_little_endian(out, T{0});  // granularity
    append_little_endian(out, first);
    append_little_endian(out, last);
    append_little_endian(out, T{0});  // translation
    append_little_endian(out, static_cast<T>(last - first + 1));
    return out;
}
constexpr uint8_t kWordSpace = 0x88, kDWordSpace = 0x87, kQWordSpace = 0x8a;
constexpr uint8_t kMemorySpace = 0, kIoSpace = 1, kBusSpace = 2;

}  // namespace

Bytes concat(std::initializer_list<Bytes> terms) {
    Bytes out;
    for (const Bytes& term : terms) append(out, term);
    return out;
}

Bytes integer(uint64_t value) {
    if (value == 0) return {kZeroOp};
    if (value == 1) return {kOneOp};
    Bytes out;
    if (value <= UINT8_MAX) {
        out.push_back(kBytePrefix);
        append_little_endian(out, static_cast<uint8_t>(value));
    } else if (value <= UINT16_MAX) {
        out.push_back(kWordPrefix);
        append_little_endian(out, static_cast<uint16_t>(value));
    } else if (value <= UINT32_MAX) {
        out.push_back(kDWordPrefix);
        append_little_endian(out, static_cast<uint32_t>(value));
    } else {
        out.push_back(kQWordPrefix);
        append_little_endian(out, value);
    }
    return out;
}

Bytes string(std::string_view text) {
    Bytes out{kStringPrefix};
    out.insert(out.end(), text.begin(), text.end());
    out.push_back(0);
    return out;
}

Bytes eisa_id(std::string_view id) {
    CHECK(id.size() == 7);
    const auto letter = [&](unsigned i) { return static_cast<uint32_t>(id[i] - '@') & 0x1f; };
    const auto digit = [&](unsigned i) -> uint32_t {
        const char c = id[i];
        return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10) & 0xf;
    };
    // Three letters of five bits and four digits of four, big-endian in the integer's bytes.
    const uint32_t value = (letter(0) << 26) | (letter(1) << 21) | (letter(2) << 16) |
                           (digit(3) << 12) | (digit(4) << 8) | (digit(5) << 4) | digit(6);
    Bytes out{kDWordPrefix};
    append_little_endian(out, __builtin_bswap32(value));
    return out;
}

Bytes package(std::span<const Bytes> elements) {
    CHECK(elements.size() <= UINT8_MAX);
    Bytes content{static_cast<uint8_t>(elements.size())};
    for (const Bytes& element : elements) append(content, element);
    return sized({kPackageOp}, content);
}

Bytes name(std::string_view path, const Bytes& value) {
    return concat({{kNameOp}, name_string(path), value});
}

Bytes scope(std::string_view path, const Bytes& body) {
    return sized({kScopeOp}, concat({name_string(path), body}));
}

Bytes device(std::string_view segment, const Bytes& body) {
    return sized({kExtOpPrefix, kDeviceOp}, concat({name_string(segment), body}));
}

Bytes reference(std::string_view path) { return name_string(path); }

Bytes buffer(std::span<const uint8_t> bytes) {
    return sized({kBufferOp}, concat({integer(bytes.size()), Bytes(bytes.begin(), bytes.end())}));
}

Bytes uuid(std::string_view text) {
    CHECK(text.size() == 36);
    // The first three groups are little-endian numbers.
    constexpr unsigned kOrder[] = {6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};
    const auto digit = [&](unsigned i) {
        const char c = text[i];
        return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    };
    Bytes out;
    for (const unsigned at : kOrder)
        out.push_back(static_cast<uint8_t>(digit(at) << 4 | digit(at + 1)));
    return buffer(out);
}

Bytes method(std::string_view name, unsigned arguments, const Bytes& body) {
    // Serialized: they touch registers.
    constexpr uint8_t kSerialized = 1u << 3;
    return sized(
        {kMethodOp},
        concat({name_string(name), {static_cast<uint8_t>(arguments | kSerialized)}, body}));
}

Bytes argument(unsigned number) { return {static_cast<uint8_t>(kArg0Op + number)}; }
Bytes local(unsigned number) { return {static_cast<uint8_t>(kLocal0Op + number)}; }
Bytes return_value(const Bytes& value) { return concat({{kReturnOp}, value}); }
Bytes store(const Bytes& value, const Bytes& target) { return concat({{kStoreOp}, value, target}); }
Bytes bit_and(const Bytes& a, const Bytes& b, const Bytes& target) {
    return concat({{kAndOp}, a, b, target});
}
Bytes bit_or(const Bytes& a, const Bytes& b, const Bytes& target) {
    return concat({{kOrOp}, a, b, target});
}
Bytes equal(const Bytes& a, const Bytes& b) { return concat({{kLEqualOp}, a, b}); }
Bytes not_equal(const Bytes& a, const Bytes& b) { return concat({{kLNotOp, kLEqualOp}, a, b}); }
Bytes if_then(const Bytes& condition, const Bytes& body) {
    return sized({kIfOp}, concat({condition, body}));
}
Bytes otherwise(const Bytes& body) { return sized({kElseOp}, body); }
Bytes dword_field_of(const Bytes& buffer, unsigned offset, std::string_view name) {
    return concat({{kCreateDWordFieldOp}, buffer, integer(offset), name_string(name)});
}

Bytes region(std::string_view name, Space space, uint64_t offset, uint64_t length) {
    return concat({{kExtOpPrefix, kOpRegionOp},
                   name_string(name),
                   {static_cast<uint8_t>(space)},
                   integer(offset),
                   integer(length)});
}

Bytes byte_fields(std::string_view region, std::span<const FieldUnit> units) {
    constexpr uint8_t kByteAccess = 1;  // no lock, other bits preserved
    Bytes content = name_string(region);
    content.push_back(kByteAccess);
    for (const FieldUnit& unit : units) {
        append(content, unit.name.empty() ? Bytes{0} : name_string(unit.name));
        CHECK(unit.bits < 64);
        content.push_back(static_cast<uint8_t>(unit.bits));
    }
    return sized({kExtOpPrefix, kFieldOp}, content);
}

Bytes io_ports(uint16_t first, uint8_t count) {  // [ACPI 6.4.2.5]
    Bytes out{0x47, 1 /* decodes 16 bits */};
    append_little_endian(out, first);
    append_little_endian(out, first);
    out.push_back(1);
    out.push_back(count);
    return out;
}

Bytes isa_irq(unsigned irq) {  // [ACPI 6.4.2.1], the form without flags
    Bytes out{0x22};
    append_little_endian(out, static_cast<uint16_t>(1u << irq));
    return out;
}

Bytes memory32_fixed(uint32_t address, uint32_t size) {  // [ACPI 6.4.3.4]
    Bytes out{0x86, 9, 0, 1 /* writeable */};
    append_little_endian(out, address);
    append_little_endian(out, size);
    return out;
}

Bytes level_interrupt(uint32_t gsi, Sharing sharing) {  // [ACPI 6.4.3.6]
    constexpr uint8_t kConsumer = 1, kShared = 1u << 3;
    Bytes out{0x89, 6, 0,
              static_cast<uint8_t>(kConsumer | (sharing == Sharing::kShared ? kShared : 0)),
              1 /* one interrupt */};
    append_little_endian(out, gsi);
    return out;
}

Bytes level_interrupts(std::span<const uint32_t> choices) {
    constexpr uint8_t kConsumer = 1, kShared = 1u << 3;
    Bytes out{0x89};
    append_little_endian(out, static_cast<uint16_t>(2 + 4 * choices.size()));
    append(out, {kConsumer | kShared, static_cast<uint8_t>(choices.size())});
    for (const uint32_t choice : choices) append_little_endian(out, choice);
    return out;
}

Bytes dma_channel(unsigned channel) {  // [ACPI 6.4.2.2]
    return {0x2a, static_cast<uint8_t>(1u << channel), 0};
}

Bytes bus_numbers(uint16_t first, uint16_t last) {
    return address_space(kWordSpace, kBusSpace, 0, first, last);
}
Bytes io_window(uint16_t first, uint16_t last) {
    constexpr uint8_t kEntireRange = 3;
    return address_space(kWordSpace, kIoSpace, kEntireRange, first, last);
}
Bytes memory32_window(uint32_t first, uint32_t last) {
    constexpr uint8_t kReadWrite = 1;
    return address_space(kDWordSpace, kMemorySpace, kReadWrite, first, last);
}
Bytes memory64_window(uint64_t first, uint64_t last) {
    constexpr uint8_t kReadWrite = 1, kPrefetchable = 3u << 1;
    return address_space(kQWordSpace, kMemorySpace, kReadWrite | kPrefetchable, first, last);
}

Bytes resource_template(const Bytes& descriptors) {
    Bytes content = descriptors;
    content.push_back(0x79);  // end tag [ACPI 6.4.2.9]; checksum 0 counts as right
    content.push_back(0);
    return sized({kBufferOp}, concat({integer(content.size()), content}));
}

}  // namespace mynah::aml
