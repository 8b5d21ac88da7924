#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "firmware/setup_header.h"
#include "memory/address.h"

namespace mynah {

// A Linux kernel image in bzImage format [linux-boot]: boot sector and real-mode setup code, which
// we only read the header of, then the protected-mode code that unpacks the kernel. The bytes
// are foreign; what parse() lets through has its parts inside the file.
class BzImage {
 public:
    static bool looks_like_bzimage(std::span<const std::byte> file);
    // `origin` begins error messages. The file must outlive the image.
    // Error: truncated, too old a protocol, or no high-loaded kernel.
    static Result<BzImage> parse(std::span<const std::byte> file, const std::string& origin);

    const linux_boot::SetupHeader& header() const { return header_; }
    bool has_64bit_entry() const {
        return (header_.xloadflags & linux_boot::xloadflags::kKernel64) != 0;
    }
    // What is loaded at the kernel's address.
    std::span<const std::byte> protected_mode_code() const { return code_; }
    // The compressed kernel within it; empty if the header does not tell.
    std::span<const std::byte> payload() const { return payload_; }
    // The length of the unpacked payload, which Linux's build stores in its last four bytes.
    uint32_t unpacked_size() const;

    // Bytes of the setup header that are valid: it grew over the protocol versions.
    size_t header_size() const { return header_size_; }

 private:
    BzImage() = default;

    linux_boot::SetupHeader header_{};
    size_t header_size_ = 0;
    std::span<const std::byte> code_;
    std::span<const std::byte> payload_;
};

}  // namespace mynah
