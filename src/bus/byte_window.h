#pragma once

#include <cstdint>

#include "bus/io_handler.h"

namespace mynah {

// A range of byte-wide registers of a device that answers in several ranges. Wider accesses become
// byte accesses in ascending order, as an ISA bridge splits them for an 8-bit device.
template <typename Device>
class ByteWindow final : public IoHandler {
 public:
    using Read = uint8_t (Device::*)(unsigned offset);
    using Write = void (Device::*)(unsigned offset, uint8_t value);

    ByteWindow(Device& device, Read read_byte, Write write_byte)
        : device_(device), read_(read_byte), write_(write_byte) {}

    uint64_t read(uint64_t offset, unsigned size) override {
        uint64_t value = 0;
        for (unsigned i = 0; i < size; ++i) {
            const unsigned at = static_cast<unsigned>(offset) + i;
            value |= uint64_t{(device_.*read_)(at)} << (8 * i);
        }
        return value;
    }
    void write(uint64_t offset, unsigned size, uint64_t value) override {
        for (unsigned i = 0; i < size; ++i) {
            const unsigned at = static_cast<unsigned>(offset) + i;
            (device_.*write_)(at, static_cast<uint8_t>(value >> (8 * i)));
        }
    }

 private:
    Device& device_;
    Read read_;
    Write write_;
};

}  // namespace mynah
