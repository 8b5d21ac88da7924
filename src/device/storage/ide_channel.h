#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "device/storage/ata_device.h"
#include "device/storage/ide_registers.h"
#include "memory/dma_view.h"
#include "spec/ata/commands.h"

namespace mynah {

// One channel of an IDE controller: the registers that two parallel devices share, the data port,
// and the bus master that moves data for them [ATA8-APT, PIIX3 2.6]; the chip, so one thread at a
// time. The channel carries out one command at a time, as its devices do, and is itself the job
// that takes work to the back end.
//
// Work that is with the back end cannot be stopped: after a reset the channel stays busy until
// it is over. Left out: overlapped commands, timing.
class IdeChannel : public MediumJob {
  public:
    IdeChannel(const DmaView& memory, MediumJobOwner& owner);

    void attach(unsigned index, AtaDevice& device);  // before the machine runs

    // Registers of the command block but for the data, by offset.
    uint8_t read(unsigned offset);
    void write(unsigned offset, uint8_t value);
    // The data port, size 1, 2 or 4.
    uint32_t read_data(unsigned size);
    void write_data(unsigned size, uint32_t value);
    uint8_t alternate_status() const;
    void write_control(uint8_t value);
    uint8_t read_bus_master(unsigned offset) const;
    void write_bus_master(unsigned offset, uint8_t value);

    bool interrupt() const { return interrupt_ && (control_ & ata::control::kNoInterrupt) == 0; }

    // True once for each piece of work that is to be started: work() with slices().
    bool take_ready();
    const MediumWork& work() const { return work_; }
    std::span<const Slice> slices() const { return slices_.slices(); }
    void finished(BlockStatus status);
    bool drained() const { return !away_; }
    bool uses(const BlockBackend& backend) const { return away_ && work_.backend == &backend; }
    // As after power-on; complete when drained.
    void reset();

  private:
    enum class Phase : uint8_t {
        kIdle,
        kPacket,    // the host writes a command packet
        kToHost,    // the host reads the data port
        kFromHost,  // the host writes it
        kDma,       // waits for the bus master
        kMedium,    // work is ready or with the back end
    };
    // Two bytes deep: what was written before is the high half of 48-bit commands.
    struct Latch {
        uint8_t now = 0, before = 0;
        void push(uint8_t value) {
            before = now;
            now = value;
        }
        uint16_t both() const { return static_cast<uint16_t>(now | before << 8); }
    };

    AtaDevice* selected() const { return devices_[index_]; }
    AtaDevice& active() const { return *devices_[active_]; }
    bool by_packet() const { return command_.taskfile.command == ata::kPacket; }
    bool nobody() const { return devices_[0] == nullptr && devices_[1] == nullptr; }
    bool busy() const { return (status() & ata::status::kBusy) != 0; }
    uint8_t status() const;
    void begin(uint8_t code);
    void advance();
    void begin_reset(AtaDevice::Reset kind, bool both);
    void finish_reset();
    void show_registers(const AtaOutcome& outcome);
    void show(const AtaOutcome& outcome);
    void complete();
    void raise();
    // ide_channel_data.cpp
    void packet_written();
    void start_pio();
    void next_chunk();
    void next_block();
    void chunk_written();
    void start_dma();
    bool gather(uint64_t wanted);
    void start_work();

    static constexpr uint32_t kBufferSize = 64 * 1024;

    const DmaView& memory_;
    std::array<AtaDevice*, 2> devices_{};
    // What the host sees and writes.
    unsigned index_ = 0;
    uint8_t device_ = 0, control_ = 0;
    Latch features_, count_;
    std::array<Latch, 3> lba_;
    std::array<uint8_t, 2> status_{}, error_{};
    bool interrupt_ = false;
    // The bus master.
    uint8_t bm_command_ = 0, bm_status_ = 0;
    uint32_t bm_table_ = 0;
    // The command under way.
    unsigned active_ = 0;  // whose it is; the host may select the other device meanwhile
    AtaCommand command_;
    Phase phase_ = Phase::kIdle;
    bool first_block_ = false;
    std::vector<uint8_t> buffer_;  // what goes through the data port
    uint32_t position_ = 0;        // in the buffer
    uint32_t block_end_ = 0;       // where the host waits for the next interrupt
    uint32_t chunk_ = 0;           // bytes of the buffer that belong to the command
    uint64_t done_ = 0;            // bytes that earlier chunks moved
    MediumWork work_;
    SliceList slices_;
    bool ready_ = false, away_ = false, abandoned_ = false;
    bool resetting_ = false, reset_both_ = false;
    AtaDevice::Reset reset_kind_ = AtaDevice::Reset::kPowerOn;
};

}  // namespace mynah
