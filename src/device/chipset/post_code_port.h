#pragma once

#include <atomic>
#include <cstdint>

#include "bus/io_handler.h"

namespace mynah {

// The diagnostic port, 80h on a PC: firmware tells its progress, operating systems write it to
// pass a microsecond. Keeps the last code for `info` and crash reports. One port; any thread.
class PostCodePort final : public IoHandler {
 public:
    uint64_t read(uint64_t, unsigned) override { return code_.load(std::memory_order_relaxed); }
    void write(uint64_t, unsigned, uint64_t value) override {
        code_.store(static_cast<uint8_t>(value), std::memory_order_relaxed);
    }
    uint8_t last_code() const { return code_.load(std::memory_order_relaxed); }

 private:
    std::atomic<uint8_t> code_{0};
};

}  // namespace mynah
