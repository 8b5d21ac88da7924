#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// A flash memory with the basic command set of Intel's 28F family, one byte wide [28F]: programs
// bytes, erases blocks of 4 KiB, tells its status and what it is. Nothing takes time. The status
// begins as 0, not ready, and does so again when it is cleared: firmware recognizes flash in a
// virtual machine by that. Left out: write buffers, locks, suspension.
// Single-threaded; FlashMemory is the attachment.
class Flash28F {
  public:
    // content: a whole number of blocks; outlives the chip.
    Flash28F(std::span<std::byte> content, bool writable)
        : content_(content), writable_(writable) {}

    void reset();
    // While true, a read gives the content.
    bool reads_array() const { return mode_ == Mode::kArray; }
    uint8_t read(uint64_t offset) const;
    // The bytes that changed, if any did.
    struct Changed {
        uint64_t offset = 0, size = 0;
    };
    Changed write(uint64_t offset, uint8_t value);

  private:
    enum class Mode : uint8_t { kArray, kStatus, kId, kCfi };
    enum class Expect : uint8_t { kCommand, kData, kConfirm };

    void command(uint8_t value);
    Changed program(uint64_t offset, uint8_t value);
    Changed erase(uint64_t offset);
    uint8_t cfi(uint64_t offset) const;

    const std::span<std::byte> content_;
    const bool writable_;
    Mode mode_ = Mode::kArray;
    Expect expect_ = Expect::kCommand;
    uint8_t status_ = 0;
};

}  // namespace mynah
