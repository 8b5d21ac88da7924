#pragma once

#include <array>
#include <cstdint>

#include "base/mutex.h"
#include "bus/byte_window.h"

namespace mynah {

// One Intel 8237A DMA controller as software sees it [8237A]: address and count of four channels
// through the byte flip-flop, command, status, request, mode and mask registers. No device here
// asks for DMA, so nothing is ever transferred. Single-threaded; IsaDma is the attachment.
class Dma8237 {
  public:
    void reset();                  // also what a master clear does
    uint8_t read(unsigned index);  // 0 to 15
    void write(unsigned index, uint8_t value);

  private:
    struct Channel {
        std::array<uint16_t, 2> base{}, current{};  // address, count
        uint8_t mode = 0;
    };
    std::array<Channel, 4> channels_;
    uint8_t command_ = 0, request_ = 0, mask_ = 0xf, status_ = 0;
    bool high_byte_ = false;
};

// The two 8237As of a PC/AT with their page registers [ICH9 13.2]: channels 0 to 3 with a port for
// each register, channels 4 to 7 with two. Any thread.
class IsaDma {
  public:
    IsaDma();
    IoHandler& low_ports() { return low_; }    // 16 ports, 00h on a PC
    IoHandler& high_ports() { return high_; }  // 32 ports, C0h
    IoHandler& pages() { return pages_; }      // 15 ports, 81h
    void reset() EXCLUDES(mutex_);

    static constexpr unsigned kPagePorts = 15;

  private:
    uint8_t read_low(unsigned offset) EXCLUDES(mutex_);
    void write_low(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_high(unsigned offset) EXCLUDES(mutex_);
    void write_high(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint8_t read_page(unsigned offset) EXCLUDES(mutex_);
    void write_page(unsigned offset, uint8_t value) EXCLUDES(mutex_);

    Mutex mutex_;
    std::array<Dma8237, 2> chips_ GUARDED_BY(mutex_);
    std::array<uint8_t, kPagePorts> page_registers_ GUARDED_BY(mutex_){};
    ByteWindow<IsaDma> low_, high_, pages_;
};

}  // namespace mynah
