#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"
#include "backend/network/network_backend.h"
#include "device/network/eeprom_93c46.h"
#include "device/network/i82540em_filter.h"
#include "device/network/i82540em_interrupts.h"
#include "device/network/i82540em_receiver.h"
#include "device/network/i82540em_registers.h"
#include "device/network/i82540em_statistics.h"
#include "device/network/i82540em_transmitter.h"
#include "device/network/phy_88e1011.h"
#include "device/network/transmit_batch.h"
#include "memory/dma_view.h"

namespace mynah {

// The Intel 82540EM gigabit Ethernet controller [8254x].
//
// Modelled: receive and transmit rings with all descriptor types, checksum and segmentation
// offload, address, multicast and VLAN filters, VLAN insertion and stripping, interrupt causes with
// all delays and throttling, statistics, EEPROM by EERD and by its pins, the copper transceiver,
// link changes, loopback in the transceiver.
// Left out: flow control frames, wake-up and management, TBI mode, the packet buffer's window,
// split headers, descriptor prefetch thresholds (descriptors are read as they are used).
//
// Chip only: who owns it has the lock, moves the line to interrupt(), calls expire() at
// deadline(), fetches what is sent. Time in nanoseconds. Single-threaded.
class I82540em {
  public:
    explicit I82540em(const MacAddress& address);

    // A register by its offset, a multiple of four.
    uint32_t read(uint32_t offset, uint64_t now);
    void write(uint32_t offset, uint32_t value, uint64_t now);
    void reset();  // the reset pin: everything but the EEPROM's content
    void set_link(bool up, uint64_t now);

    bool interrupt() const { return interrupts_.interrupt(); }
    uint64_t deadline() const { return interrupts_.deadline(); }
    void expire(uint64_t now) { interrupts_.expire(now); }

    // --- frames ---
    // Fills the batch from the transmit ring. False: there is nothing more to send.
    [[nodiscard]] bool fetch(const DmaView& dma, NetworkOffloads offloads, TransmitBatch& to,
                             uint64_t now);
    bool has_transmit_work() const;
    // What is sent comes back to receive() instead.
    bool loopback() const { return phy_.loopback(); }
    // False: there are too few descriptors for it now. A frame that is not for us, or that comes
    // while receiving is off, counts as taken.
    [[nodiscard]] bool receive(const NetworkFrame& frame, const DmaView& dma, uint64_t now);

  private:
    struct TransmitRing {
        uint64_t base = 0;
        uint32_t length = 0, head = 0, tail = 0;
        uint32_t descriptors() const;
    };
    uint32_t status() const;
    uint32_t read_interrupts(uint32_t offset, uint64_t now);
    uint32_t read_filter(uint32_t offset) const;
    bool write_filter(uint32_t offset, uint32_t value);
    bool write_interrupts(uint32_t offset, uint32_t value, uint64_t now);
    bool write_rings(uint32_t offset, uint32_t value);
    void write_ctrl(uint32_t value, uint64_t now);
    void write_eecd(uint32_t value);
    uint32_t read_eecd() const;
    void write_eerd(uint32_t value);
    void write_mdic(uint32_t value, uint64_t now);
    void update_link(uint64_t now);
    void software_reset(uint64_t now);
    MacAddress eeprom_address() const;
    i82540em::Transmitter::Settings transmit_settings(NetworkOffloads offloads) const;
    bool write_back(const i82540em::TransmitDescriptor& descriptor, GuestPhys place,
                    const DmaView& dma, uint64_t now);

    Eeprom93c46 eeprom_;
    Phy88e1011 phy_;
    i82540em::Interrupts interrupts_;
    i82540em::Statistics statistics_;
    i82540em::ReceiveFilter filter_;
    i82540em::Transmitter transmitter_;
    uint32_t ctrl_ = 0, eecd_ = 0, eerd_ = 0, mdic_ = 0;
    uint32_t rctl_ = 0, rxcsum_ = 0, tctl_ = 0, vet_ = 0, txdctl_ = 0;
    bool link_ = false;     // the cable
    bool link_up_ = false;  // STATUS.LU
    TransmitRing tx_;
    uint64_t rx_base_ = 0;
    uint32_t rx_length_ = 0;
    i82540em::Receiver::Ring rx_;
    std::vector<uint32_t> plain_;   // registers that are only kept
    std::vector<std::byte> frame_;  // of receive(), side by side
};

}  // namespace mynah
