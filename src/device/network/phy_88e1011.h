#pragma once

#include <array>
#include <cstdint>

namespace mynah {

// The transceiver inside the 82540EM, a Marvell 88E1011 by its identity [8254x 8.2, 802.3 22.2.4].
// Negotiation takes no time and ends at 1000 Mb/s full duplex with whoever is at the other end.
// Single-threaded.
class Phy88e1011 {
  public:
    static constexpr unsigned kRegisters = 32;

    Phy88e1011() { reset(); }
    void reset();
    uint16_t read(unsigned reg);
    void write(unsigned reg, uint16_t value);

    void set_link(bool up);  // a cable that leads somewhere
    bool link() const { return link_; }
    // What the MAC sends comes back to it.
    bool loopback() const { return (registers_[0] & kControlLoopback) != 0; }

  private:
    static constexpr uint16_t kControlReset = 0x8000, kControlLoopback = 0x4000,
                              kControlRestart = 0x0200;

    std::array<uint16_t, kRegisters> registers_{};
    bool link_ = false;
    bool link_was_down_ = false;  // since status was read last [802.3 22.2.4.2.13]
};

}  // namespace mynah
