#include "device/firmware_config/flash28f.h"

#include <algorithm>
#include <bit>

#include "device/firmware_config/flash28f_registers.h"

namespace mynah {

using flash::Command;

void Flash28F::reset() {
    mode_ = Mode::kArray;
    expect_ = Expect::kCommand;
    status_ = 0;
}

uint8_t Flash28F::read(uint64_t offset) const {
    switch (mode_) {
        case Mode::kArray:
            return std::to_integer<uint8_t>(content_[offset]);
        case Mode::kStatus:
            return status_;
        case Mode::kId:
            return offset % 2 == 0 ? flash::kManufacturer : flash::kDevice;
        case Mode::kCfi:
            return cfi(offset);
    }
    return 0;
}

// The common flash interface's query [CFI 3]: who it is, and one region of equal blocks.
uint8_t Flash28F::cfi(uint64_t offset) const {
    const uint64_t blocks = content_.size() / flash::kBlockBytes - 1;
    switch (offset) {
        case 0x10:
            return 'Q';
        case 0x11:
            return 'R';
        case 0x12:
            return 'Y';
        case 0x13:
            return 0x01;  // Intel's command set
        case 0x27:
            return static_cast<uint8_t>(std::bit_width(content_.size() - 1));
        case 0x2c:
            return 1;  // regions
        case 0x2d:
            return static_cast<uint8_t>(blocks);
        case 0x2e:
            return static_cast<uint8_t>(blocks >> 8);
        case 0x2f:
            return static_cast<uint8_t>(flash::kBlockBytes >> 8);
        case 0x30:
            return static_cast<uint8_t>(flash::kBlockBytes >> 16);
        default:
            return 0;
    }
}

Flash28F::Changed Flash28F::write(uint64_t offset, uint8_t value) {
    const Expect expected = expect_;
    expect_ = Expect::kCommand;
    switch (expected) {
        case Expect::kCommand:
            command(value);
            return {};
        case Expect::kData:
            return program(offset, value);
        case Expect::kConfirm:
            if (value == static_cast<uint8_t>(Command::kConfirm)) return erase(offset);
            status_ |=
                flash::status::kReady | flash::status::kEraseError | flash::status::kProgramError;
            return {};
    }
    return {};
}

void Flash28F::command(uint8_t value) {
    switch (static_cast<Command>(value)) {
        case Command::kProgram:
        case Command::kProgramAlternate:
            mode_ = Mode::kStatus;
            expect_ = Expect::kData;
            break;
        case Command::kErase:
            mode_ = Mode::kStatus;
            expect_ = Expect::kConfirm;
            break;
        case Command::kClearStatus:
            status_ = 0;
            mode_ = Mode::kArray;
            break;
        case Command::kReadStatus:
            mode_ = Mode::kStatus;
            break;
        case Command::kReadId:
            mode_ = Mode::kId;
            break;
        case Command::kReadCfi:
            mode_ = Mode::kCfi;
            break;
        default:
            mode_ = Mode::kArray;
            break;
    }
}

Flash28F::Changed Flash28F::program(uint64_t offset, uint8_t value) {
    status_ |= flash::status::kReady;
    if (!writable_) {
        status_ |= flash::status::kProgramError;
        return {};
    }
    content_[offset] &= std::byte{value};  // programming can only clear bits
    return {offset, 1};
}

Flash28F::Changed Flash28F::erase(uint64_t offset) {
    status_ |= flash::status::kReady;
    if (!writable_) {
        status_ |= flash::status::kEraseError;
        return {};
    }
    const uint64_t start = offset / flash::kBlockBytes * flash::kBlockBytes;
    const auto block = content_.subspan(start, flash::kBlockBytes);
    std::fill(block.begin(), block.end(), std::byte{0xff});
    return {start, flash::kBlockBytes};
}

}  // namespace mynah
