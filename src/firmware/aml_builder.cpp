#include "firmware/aml_builder.h"

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
    kExtOpPrefix = 0x5b,
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

Bytes name_string(std::string_view path) {
    Bytes out;
    if (path.starts_with('\\')) {
        out.push_back('\\');
        path.remove_prefix(1);
    }
    CHECK(!path.empty() && path.size() <= kSegmentLength);
    out.insert(out.end(), path.begin(), path.end());
    out.insert(out.end(), kSegmentLength - path.size(), '_');
    return out;
}

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

Bytes resource_template(const Bytes& descriptors) {
    Bytes content = descriptors;
    content.push_back(0x79);  // end tag [ACPI 6.4.2.9]; checksum 0 counts as right
    content.push_back(0);
    return sized({kBufferOp}, concat({integer(content.size()), content}));
}

}  // namespace mynah::aml
