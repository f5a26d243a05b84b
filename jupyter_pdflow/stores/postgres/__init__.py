"""The store on PostgreSQL: any number of processes work on one database."""
