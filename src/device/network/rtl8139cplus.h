#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"
#include "backend/network/network_backend.h"
#include "device/network/eeprom_93c46.h"
#include "device/network/rtl8139_registers.h"
#include "device/network/transmit_batch.h"
#include "memory/dma_view.h"

namespace mynah {

// The Realtek RTL8139C+ Ethernet controller [RTL8139C+, RTL8139].
//
// Modelled: C mode (four transmit descriptors in registers, one receive buffer) and C+ mode (rings
// of descriptors, checksum offload, large send, VLAN tags), address and multicast filters,
// EEPROM by its pins, transceiver registers, timer, counters, MAC loopback.
// Left out: wake-up, the high-priority queue's precedence (it is served after the other), early
// receive and transmit, runt and error packets, flow control.
//
// Chip only: who owns it has the lock, moves the line to interrupt(), calls expire() at
// deadline(), fetches what is sent. Time in nanoseconds. Single-threaded.
class Rtl8139Cplus {
  public:
    static constexpr uint64_t kNever = ~uint64_t{0};

    explicit Rtl8139Cplus(const MacAddress& address);

    // Offset 0 to 255, size 1, 2 or 4, not beyond the window.
    uint32_t read(unsigned offset, unsigned size, uint64_t now) const;
    // The counters, if they are asked for, are written to memory at once.
    void write(unsigned offset, unsigned size, uint32_t value, const DmaView& dma, uint64_t now);
    void reset();  // the reset pin
    void set_link(bool up);

    bool interrupt() const { return (isr_ & imr_) != 0; }
    uint64_t deadline() const;
    void expire(uint64_t now);

    // --- frames ---
    // Fills the batch with what is to be sent. False: there is nothing more.
    [[nodiscard]] bool fetch(const DmaView& dma, NetworkOffloads offloads, TransmitBatch& to);
    bool has_transmit_work() const;
    bool loopback() const;
    // False: there is no room for it now. A frame that is not for us counts as taken.
    [[nodiscard]] bool receive(const NetworkFrame& frame, const DmaView& dma);

  private:
    struct Register {
        unsigned offset, size;
    };
    static const Register* register_at(unsigned offset);
    uint32_t read_register(unsigned offset, uint64_t now) const;
    std::optional<uint32_t> read_transceiver(unsigned offset) const;
    void write_register(unsigned offset, uint32_t value, const DmaView& dma, uint64_t now);
    bool write_transmit(unsigned offset, uint32_t value, const DmaView& dma);
    bool write_configuration(unsigned offset, uint32_t value);
    bool write_transceiver(unsigned offset, uint32_t value);
    void write_command(uint32_t value);
    void write_9346cr(uint32_t value);
    void load_eeprom();
    void software_reset();
    bool unlocked() const;
    void dump_counters(const DmaView& dma);
    void arm_timer();

    // --- C mode ---
    bool send_register(unsigned index, const DmaView& dma, TransmitBatch& to);
    uint32_t buffer_size() const;
    uint32_t read_pointer() const;
    bool buffer_empty() const;
    bool store_in_buffer(std::span<const std::byte> frame, uint16_t status, const DmaView& dma);
    // --- C+ mode ---
    struct PlusRing {
        unsigned next = 0;
        std::vector<std::byte> data;  // of a frame that has begun
        uint32_t first_command = 0;
        bool in_frame = false, broken = false;
        void reset() { *this = PlusRing(); }
    };
    uint64_t ring_base(bool high) const;
    bool take_descriptor(bool high, const DmaView& dma, NetworkOffloads offloads, TransmitBatch& to,
                         bool& sent);
    void send_plus(PlusRing& ring, uint32_t vlan, NetworkOffloads offloads, TransmitBatch& to);
    bool store_in_ring(std::span<const std::byte> frame, uint32_t status, uint32_t vlan,
                       const DmaView& dma);
    uint32_t judge(std::span<const std::byte> frame, bool verified) const;

    enum class Match : uint8_t { kNone, kPhysical, kMulticast, kBroadcast };
    Match match(std::span<const std::byte> frame) const;
    void count_sent() { ++tx_ok_; }

    Eeprom93c46 eeprom_;
    std::array<uint8_t, 6> idr_{};
    std::array<uint8_t, 8> mar_{};
    std::array<uint32_t, rtl8139::kTransmitters> tsd_{}, tsad_{};
    uint32_t rbstart_ = 0, tcr_ = 0, rcr_ = 0, mpc_ = 0, timer_int_ = 0;
    uint16_t capr_ = 0, cbr_ = 0, imr_ = 0, isr_ = 0, mulint_ = 0;
    uint8_t command_ = 0, eeprom_control_ = 0, config0_ = 0, config1_ = 0, config3_ = 0,
            config4_ = 0, config5_ = 0, etthr_ = 0;
    uint16_t bmcr_ = 0, anar_ = 0, cpcr_ = 0;
    uint64_t rdsar_ = 0;
    bool link_ = false;
    unsigned next_register_ = 0;  // whose turn it is to be sent
    bool poll_normal_ = false, poll_high_ = false;
    PlusRing normal_, high_;
    unsigned next_receive_ = 0;
    uint64_t timer_start_ = 0, timer_deadline_ = kNever;
    uint64_t tx_ok_ = 0, rx_ok_ = 0;
    std::vector<std::byte> frame_;
};

}  // namespace mynah
