#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "scsi/scsi_disk.h"
#include "device/usb/usb_device.h"
#include "spec/usb/mass_storage.h"

namespace mynah {

// A USB disk: the bulk-only transport [BOT 1.0] around a ScsiDisk over a BlockBackend. At full,
// high and super speed.
//
// Data passes through one buffer: a read fetches up to kChunk bytes, during which the endpoint
// answers NAK; the next chunk is fetched when the host has taken the last.
class UsbStorage final : public UsbDevice, private BlockCompletion {
  public:
    static constexpr uint32_t kChunk = 128 * 1024;  // bytes

    // The backend must outlive the device. Serial: hexadecimal digits, at least 12 [BOT 4.1.1].
    UsbStorage(BlockBackend& backend, ScsiDiskOptions options);
    // Waits for the backend, which may have a request.
    ~UsbStorage() override;

    bool has_work() const EXCLUDES(mutex_) override;
    void perform() EXCLUDES(mutex_) override;

  protected:
    void do_reset() REQUIRES(mutex_) override;
    void do_configured() REQUIRES(mutex_) override { do_reset(); }
    std::optional<std::vector<uint8_t>> do_request(const usb::Setup& setup,
                                                   std::span<const uint8_t> data)
        REQUIRES(mutex_) override;
    UsbReply do_in(uint8_t endpoint, std::span<std::byte> to) REQUIRES(mutex_) override;
    UsbReply do_out(uint8_t endpoint, std::span<const std::byte> from) REQUIRES(mutex_) override;
    void do_halt_cleared(uint8_t endpoint_address) REQUIRES(mutex_) override;

  private:
    static constexpr uint8_t kIn = 0x81, kOut = 0x02;
    enum class Stage : uint8_t { kCommand, kDataIn, kDataOut, kWait, kStatus, kInvalid };

    static UsbDescription describe(const ScsiDiskOptions& options);
    UsbReply take_command(std::span<const std::byte> from) REQUIRES(mutex_);
    UsbReply take_data(std::span<const std::byte> from) REQUIRES(mutex_);
    UsbReply give_status(std::span<std::byte> to) REQUIRES(mutex_);
    scsi::Sense execute(std::span<const uint8_t> cdb) REQUIRES(mutex_);
    void start_data() REQUIRES(mutex_);
    void next_chunk() REQUIRES(mutex_);
    void end_data(uint8_t status, bool host_knows = false) REQUIRES(mutex_);
    void block_done(BlockRequest& request, BlockStatus status) EXCLUDES(mutex_) override;
    void chunk_done(BlockStatus status) REQUIRES(mutex_);

    BlockBackend& backend_;
    ScsiDisk disk_ GUARDED_BY(mutex_);

    Stage stage_ GUARDED_BY(mutex_) = Stage::kCommand;
    usb::storage::CommandWrapper command_ GUARDED_BY(mutex_){};
    DataPhase data_ GUARDED_BY(mutex_);  // of the command
    uint8_t status_ GUARDED_BY(mutex_) = 0;
    uint32_t host_left_ GUARDED_BY(mutex_) = 0;   // bytes the host still expects to move
    uint64_t data_left_ GUARDED_BY(mutex_) = 0;   // bytes of the command not yet moved by USB
    uint64_t data_begun_ GUARDED_BY(mutex_) = 0;  // bytes of it given to the backend

    // What lies in the buffer: [buffer_at_, buffer_end_) is to go to the host, or [0, buffer_end_)
    // came from it.
    std::vector<std::byte> buffer_ GUARDED_BY(mutex_);
    uint32_t buffer_at_ GUARDED_BY(mutex_) = 0, buffer_end_ GUARDED_BY(mutex_) = 0;

    bool wanted_ GUARDED_BY(mutex_) = false;     // request_ is to be submitted
    bool in_flight_ GUARDED_BY(mutex_) = false;  // the backend has request_ and the buffer
    bool abandoned_ GUARDED_BY(mutex_) = false;  // its result is of no interest any more
    unsigned finishing_ GUARDED_BY(mutex_) = 0;  // threads inside block_done()
    BlockRequest request_;                       // the backend's while in_flight_
    Slice slice_;
    std::condition_variable_any idle_;
};

}  // namespace mynah
