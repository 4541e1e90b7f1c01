from taskworks.moving import run_id_of_job

print(run_id_of_job("vwHja3AM0FaP12shCBShtTDcJftP0mWM"))
